"""Errors of processors. No other exception may leave a processor.

    ProcessingError(code, retriable)
    ├── InvalidMedia             the input's fault: never retried
    │   ├── EmptyMedia           empty-media
    │   ├── UnsupportedMedia     unsupported-media       not an accepted container
    │   ├── CorruptMedia         corrupt-media           damaged or cut off
    │   ├── MediaTooLarge        media-too-large         beyond a limit: duration, pixels, fps, tracks
    │   ├── NothingToShow        no-usable-track
    │   └── LimitExceeded        limit-exceeded          needs more memory, time or disk than a tool may use
    ├── InvalidParams            invalid-params          the pipeline's fault: never retried
    ├── InvalidUrl               invalid-url             not an allowed http(s) URL: never retried
    ├── AddressForbidden         address-forbidden       the URL leads to a forbidden address: never retried
    ├── TooManyRedirects         too-many-redirects      never retried
    ├── SourceMissing            source-missing          the object, path or URL does not exist: never retried
    ├── SourceRefused            source-refused          the server refuses the request: never retried
    ├── SourceMisbehaved         source-misbehaved       the server's response is invalid: never retried
    ├── SourceUnavailable        source-unavailable      temporary
    ├── SourceTooSlow            source-too-slow         slower than allowed
    ├── ToolFailed               tool-failed
    ├── ToolTimedOut             tool-timed-out
    ├── Fault                    the fault of kinolog or of a tool, not of the file: logged at ERROR, never retried
    │   ├── OutputInvalid        output-invalid          the result fails validation
    │   │   └── OutputIncomplete output-invalid          part of it is missing: retried
    │   └── ToolMisbehaved       tool-misbehaved         a tool crashed, or did something it never does by itself
    ├── OutputsTooLarge          outputs-too-large       more results than a job can hold: never retried
    ├── OutOfCapacity            out-of-capacity         disk, memory
    └── BackendError             a model failed: the next backend of its chain is used
        ├── ModelUnavailable     model-unavailable       cannot be loaded here: never retried
        ├── GpuUnavailable       gpu-unavailable         no GPU, or one that does not compute
        ├── ModelFailed          model-failed
        ├── ModelLost            model-lost              its process exited during a request
        ├── ModelTimedOut        model-timed-out
        │   └── ModelLoadTimedOut model-timed-out        while it was loaded
        ├── ModelOutgrown        model-memory-exceeded
        ├── LanguageNotSupported language-not-supported  the model does not know the spoken language: never retried
        ├── EndpointAsleep       endpoint-asleep         counted separately from failures
        ├── EndpointUnreachable  endpoint-unreachable
        ├── EndpointTimedOut     endpoint-timed-out
        ├── EndpointBusy         endpoint-busy
        ├── EndpointRefused      endpoint-refused        rejects the request: never retried
        └── AnswerInvalid        endpoint-answer-invalid unexpected response: never retried

`Skipped` is no error: the step does not apply to the input.
"""

from typing import ClassVar

from schemas.base import ErrorRecord


class ProcessingError(Exception):
    """Base of all errors of a step. `str()` is the message for users; `detail` is for engineers."""

    code: ClassVar[str] = "processing-failed"
    retriable: ClassVar[bool] = False

    def __init__(self, message: str, *, detail: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        #: Seconds that a server asks to wait before the next request.
        self.retry_after_s = retry_after_s

    def record(self) -> ErrorRecord:
        """The error as data."""
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
    """The content is not an accepted media container."""

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
    """A tool needs more memory, processor time or disk space for this file than it may use."""

    code = "limit-exceeded"


class InvalidParams(ProcessingError):
    """The step's parameters do not fit its schema."""

    code = "invalid-params"


class InvalidUrl(ProcessingError):
    """The URL is malformed or not allowed."""

    code = "invalid-url"


class AddressForbidden(ProcessingError):
    """The URL leads to an address that downloads must not reach."""

    code = "address-forbidden"


class TooManyRedirects(ProcessingError):
    """The URL redirects too often."""

    code = "too-many-redirects"


class SourceRefused(ProcessingError):
    """The server refuses the request."""

    code = "source-refused"


class SourceMisbehaved(ProcessingError):
    """The server's response violates HTTP, or does not match the request."""

    code = "source-misbehaved"


class SourceTooSlow(ProcessingError):
    """The media was sent more slowly than allowed."""

    code = "source-too-slow"
    retriable = True


class SourceMissing(ProcessingError):
    """The source does not exist."""

    code = "source-missing"


class SourceUnavailable(ProcessingError):
    """The source cannot be read at the moment."""

    code = "source-unavailable"
    retriable = True


class ToolFailed(ProcessingError):
    """A tool failed for a reason that is not known to be the input."""

    code = "tool-failed"
    retriable = True


class ToolTimedOut(ProcessingError):
    """A tool exceeded its wall-clock limit."""

    code = "tool-timed-out"
    retriable = True


class Fault(ProcessingError):
    """kinolog or a tool is at fault, and a retry would end in the same way. An engineer must look at it.

    `finding` is a sentence that says what is wrong.
    """

    _INTRODUCTION: ClassVar[str]
    _END: ClassVar[str]

    def __init__(self, finding: str, *, detail: str | None = None) -> None:
        super().__init__(f"{self._INTRODUCTION} {finding} {self._END}", detail=detail)
        self.finding = finding


class OutputInvalid(Fault):
    """The output fails validation: either the check or the work is at fault."""

    code = "output-invalid"
    _INTRODUCTION, _END = "kinolog's own check rejected the result:", "This is a fault in kinolog, not in the file."


class ToolMisbehaved(Fault):
    """A tool crashed, or did something it never does by itself. The file may be an attack on it."""

    code = "tool-misbehaved"
    _INTRODUCTION, _END = (
        "A tool failed on this file:",
        "This is a fault in the tool; the log has the details.",
    )


class OutputIncomplete(OutputInvalid):
    """A file of the output is missing, empty or truncated; a retry may complete it."""

    retriable = True


class OutputsTooLarge(ProcessingError):
    """The step produced more results than a job can hold."""

    code = "outputs-too-large"


class OutOfCapacity(ProcessingError):
    """The machine ran out of disk or memory."""

    code = "out-of-capacity"
    retriable = True


class BackendError(ProcessingError):
    """A local model or an endpoint failed."""

    retriable = True


class ModelUnavailable(BackendError):
    """The model cannot be loaded on this machine."""

    code = "model-unavailable"
    retriable = False


class GpuUnavailable(BackendError):
    """The GPU that a model should run on is not there, or does not compute; it may come back."""

    code = "gpu-unavailable"


class ModelFailed(BackendError):
    """The model raised an error."""

    code = "model-failed"


class ModelLost(BackendError):
    """The model's process exited during a request."""

    code = "model-lost"


class ModelTimedOut(BackendError):
    """The model exceeded the time limit of a request."""

    code = "model-timed-out"


class ModelLoadTimedOut(ModelTimedOut):
    """The model exceeded the time limit of loading."""


class ModelOutgrown(BackendError):
    """The model exceeded its memory limit."""

    code = "model-memory-exceeded"


class LanguageNotSupported(BackendError):
    """The model does not know the language that is spoken."""

    code = "language-not-supported"
    retriable = False


class EndpointAsleep(BackendError):
    """A remote model endpoint is starting up."""

    code = "endpoint-asleep"


class EndpointUnreachable(BackendError):
    """A remote model endpoint cannot be reached, or fails."""

    code = "endpoint-unreachable"


class EndpointTimedOut(BackendError):
    """A remote model endpoint did not respond in time."""

    code = "endpoint-timed-out"


class EndpointBusy(BackendError):
    """A remote model endpoint limits the request rate."""

    code = "endpoint-busy"


class EndpointRefused(BackendError):
    """A remote model endpoint rejected the request: wrong URL, token or body."""

    code = "endpoint-refused"
    retriable = False


class AnswerInvalid(BackendError):
    """A remote model endpoint sent an unexpected response."""

    code = "endpoint-answer-invalid"
    retriable = False


class Skipped(Exception):
    """The step does not apply to this input. `reason` is stable, e.g. "no-video-track"; `hint` says what to change."""

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
