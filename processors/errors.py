"""What can go wrong with a piece of work. Only these may leave a processor.

    ProcessingError(code, retriable)
    ├── InvalidMedia             the input's fault: never retried
    │   ├── EmptyMedia           empty-media
    │   ├── UnsupportedMedia     unsupported-media       not a container that we take
    │   ├── CorruptMedia         corrupt-media           named right, but cannot be read
    │   ├── MediaTooLarge        media-too-large         beyond a limit: duration, pixels, fps, tracks
    │   ├── NothingToShow        no-usable-track
    │   ├── LimitExceeded        limit-exceeded          it needs more memory, time or room than a tool may use
    │   └── ToolMisbehaved       tool-misbehaved         it made a tool do what none does
    ├── InvalidParams            invalid-params          the pipeline's fault: never retried
    ├── InvalidUrl               invalid-url             not an http(s) address that may be asked for: never retried
    ├── AddressForbidden         address-forbidden       the address leads where downloads must not go: never retried
    ├── TooManyRedirects         too-many-redirects      never retried
    ├── SourceMissing            source-missing          the object, path or URL is not there: never retried
    ├── SourceRefused            source-refused          the server does not give it to us: never retried
    ├── SourceMisbehaved         source-misbehaved       the server's answer breaks the rules: never retried
    ├── SourceUnavailable        source-unavailable      it may be there later
    ├── SourceTooSlow            source-too-slow         it came slower than is waited for
    ├── ToolFailed               tool-failed
    ├── ToolTimedOut             tool-timed-out
    ├── OutputInvalid            output-invalid          it fails kinolog's own check, a fault in kinolog: never retried
    │   └── OutputIncomplete     output-invalid          part of it is missing, as after a kill: retried
    ├── OutputsTooLarge          outputs-too-large       more results than a job can hold: never retried
    ├── OutOfCapacity            out-of-capacity         disk, memory
    └── BackendError             a model did not serve: the next backend of its chain is asked
        ├── ModelUnavailable     model-unavailable       it cannot be loaded here: never retried
        ├── ModelFailed          model-failed
        ├── ModelLost            model-lost              its process ended in the middle
        ├── ModelTimedOut        model-timed-out
        ├── ModelOutgrown        model-memory-exceeded
        ├── EndpointAsleep       endpoint-asleep         counted apart from failures
        ├── EndpointUnreachable  endpoint-unreachable
        ├── EndpointTimedOut     endpoint-timed-out
        ├── EndpointBusy         endpoint-busy
        ├── EndpointRefused      endpoint-refused        it says that the request is wrong: never retried
        └── AnswerInvalid        endpoint-answer-invalid it answered something else than was asked: never retried

`Skipped` is no error: there was nothing to do, with the reason.
"""

from typing import ClassVar

from schemas.base import ErrorRecord

#: Ends what users read when a check of ours fails.
_NOT_THE_FILE = "This is a fault in kinolog, not in the file."


class ProcessingError(Exception):
    """The work failed. `str()` is the sentence a user reads; `detail` is for an engineer."""

    code: ClassVar[str] = "processing-failed"
    retriable: ClassVar[bool] = False

    def __init__(self, message: str, *, detail: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        #: Seconds that a server asked us to wait before we come again.
        self.retry_after_s = retry_after_s

    def record(self) -> ErrorRecord:
        """The error as it travels."""
        return ErrorRecord(
            code=self.code,
            message=str(self),
            retriable=self.retriable,
            detail=self.detail,
            retry_after_s=self.retry_after_s,
        )


class InvalidMedia(ProcessingError):
    """The input cannot be processed."""

    code = "invalid-media"


class EmptyMedia(InvalidMedia):
    """The file has no bytes."""

    code = "empty-media"


class UnsupportedMedia(InvalidMedia):
    """The content is not a media container that kinolog takes."""

    code = "unsupported-media"


class CorruptMedia(InvalidMedia):
    """The file starts like media but cannot be read to its end."""

    code = "corrupt-media"


class MediaTooLarge(InvalidMedia):
    """A limit is exceeded: duration, pixels, frame rate or tracks."""

    code = "media-too-large"


class NothingToShow(InvalidMedia):
    """The file has neither a video nor an audio track that can be decoded."""

    code = "no-usable-track"


class LimitExceeded(InvalidMedia):
    """A tool would need more memory, processor time or room for this file than it may use."""

    code = "limit-exceeded"


class ToolMisbehaved(InvalidMedia):
    """A tool did what none does by itself: the file was made to take it over."""

    code = "tool-misbehaved"


class InvalidParams(ProcessingError):
    """The step's parameters do not fit its schema."""

    code = "invalid-params"


class InvalidUrl(ProcessingError):
    """The address is not one that may be asked for."""

    code = "invalid-url"


class AddressForbidden(ProcessingError):
    """The address leads to where downloads must not go."""

    code = "address-forbidden"


class TooManyRedirects(ProcessingError):
    """The address leads on and on."""

    code = "too-many-redirects"


class SourceRefused(ProcessingError):
    """The server does not give it to us."""

    code = "source-refused"


class SourceMisbehaved(ProcessingError):
    """The server's answer breaks the rules of HTTP, or what we asked for."""

    code = "source-misbehaved"


class SourceTooSlow(ProcessingError):
    """The media came more slowly than is waited for."""

    code = "source-too-slow"
    retriable = True


class SourceMissing(ProcessingError):
    """The source is not where the job says."""

    code = "source-missing"


class SourceUnavailable(ProcessingError):
    """The source cannot be read at the moment."""

    code = "source-unavailable"
    retriable = True


class ToolFailed(ProcessingError):
    """A tool ended with an error that does not say the input is at fault."""

    code = "tool-failed"
    retriable = True


class ToolTimedOut(ProcessingError):
    """A tool exceeded its wall-clock limit."""

    code = "tool-timed-out"
    retriable = True


class OutputInvalid(ProcessingError):
    """The output is complete and fails our own check of it: the same work gives the same output.

    `found` is a sentence that says what is wrong. Whether the check or the work is at fault: a person must look.
    """

    code = "output-invalid"

    def __init__(self, found: str, *, detail: str | None = None) -> None:
        super().__init__(f"kinolog's own check rejected the result: {found} {_NOT_THE_FILE}", detail=detail)
        self.found = found


class OutputIncomplete(OutputInvalid):
    """A file of the output is missing, empty or cut short, as after a kill: the next try may write all of it."""

    retriable = True


class OutputsTooLarge(ProcessingError):
    """The step produced more results than a job can hold."""

    code = "outputs-too-large"


class OutOfCapacity(ProcessingError):
    """The machine ran out of disk or memory."""

    code = "out-of-capacity"
    retriable = True


class BackendError(ProcessingError):
    """A model, here or behind an endpoint, did not serve."""

    retriable = True


class ModelUnavailable(BackendError):
    """The model cannot be loaded on this machine."""

    code = "model-unavailable"
    retriable = False


class ModelFailed(BackendError):
    """The model raised an error."""

    code = "model-failed"


class ModelLost(BackendError):
    """The process that held the model ended in the middle of a request."""

    code = "model-lost"


class ModelTimedOut(BackendError):
    """The model took longer than a request may take."""

    code = "model-timed-out"


class ModelOutgrown(BackendError):
    """The model took more memory than it may have."""

    code = "model-memory-exceeded"


class EndpointAsleep(BackendError):
    """A remote model endpoint is waking up."""

    code = "endpoint-asleep"


class EndpointUnreachable(BackendError):
    """A remote model endpoint cannot be reached, or fails."""

    code = "endpoint-unreachable"


class EndpointTimedOut(BackendError):
    """A remote model endpoint did not answer in time."""

    code = "endpoint-timed-out"


class EndpointBusy(BackendError):
    """A remote model endpoint asks to be asked less often."""

    code = "endpoint-busy"


class EndpointRefused(BackendError):
    """A remote model endpoint says that the request is wrong: its address, its token or what it was sent."""

    code = "endpoint-refused"
    retriable = False


class AnswerInvalid(BackendError):
    """A remote model endpoint answered something else than was asked for."""

    code = "endpoint-answer-invalid"
    retriable = False


class Skipped(Exception):
    """There is nothing to do for this input. `reason` is stable, e.g. "no-video-track"; `hint` says what would help."""

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
