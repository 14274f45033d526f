"""One attempt from its acceptance to the message that ends it: the one place where errors become data."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from agents.executor.capacity import CpuBudget, CpuTicket
from agents.executor.progress import Progress
from agents.executor.scratch import Scratch, Space
from agents.executor.sources import Sources, downloaded
from processors.contract import Processor, Work
from processors.errors import OutOfCapacity, OutputInvalid, OutputsTooLarge, ProcessingError, Skipped, SourceUnavailable
from processors.storage.errors import StoreError
from processors.storage.local_files import DISK_FULL, UnexpectedFile, files_below
from processors.storage.object_store import ObjectStore
from processors.threads import in_thread
from schemas.base import ErrorRecord, Json
from schemas.step_events import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSkipped,
    StepEvent,
    StepRequested,
)
from schemas.steps import StepKind
from schemas.transcribe import Caption
from tables.bounds import bounded_error, outputs_fit
from tables.policies import OUTPUTS_TOO_LARGE

log = logging.getLogger(__name__)

#: Why an attempt is stopped: somebody revoked its lease, or this executor is leaving.
Stop = Literal["cancelled", "released"]

_NO_ROOM = "The machine ran out of disk space; it will be tried again."
#: Handed to steps without files or without a source, so that a mistake fails instead of writing somewhere.
_NOWHERE = Path(os.devnull)


class AttemptKey(NamedTuple):
    """What a repeated request has in common with the first."""

    job_id: str
    run: int
    step: str
    attempt: int


class Attempt:
    """One accepted request. `turn` is its place in the line for the CPUs, where its step is heavy."""

    def __init__(
        self,
        requested: StepRequested,
        kind: StepKind,
        *,
        lease_id: str,
        event_id: str,
        partition: int,
        turn: CpuTicket | None = None,
        heard: Callable[["Attempt"], None] | None = None,
        shown: Callable[["Attempt", Caption], None] | None = None,
    ) -> None:
        self.requested = requested
        self.kind = kind
        self.lease_id = lease_id
        #: What repeats of the request have in common.
        self.key = AttemptKey(requested.job_id, requested.run, requested.step, requested.attempt)
        #: The fields of every event about it, and what the ids of these begin with.
        self.identity: dict[str, Any] = {
            "job_id": requested.job_id,
            "asset_id": requested.asset_id,
            "run": requested.run,
            "step": requested.step,
            "attempt": requested.attempt,
            "lease_id": lease_id,
        }
        self.event_prefix = f"{requested.job_id}/{requested.run}/{requested.step}/{requested.attempt}/{lease_id}/"
        #: Id of the request's event, and the partition it came from.
        self.event_id = event_id
        self.partition = partition
        self.turn = turn
        self._heard, self._shown = heard, shown
        # What takes no time says all that it has to say: it may be over within the second.
        self.progress = Progress(interval_s=0.0 if kind.instant else 1.0)
        self.progress_messages = self.captions = 0
        self.beats = 0
        self.beat: asyncio.Future[Any] | None = None
        self.beaten_at = 0.0
        self.stopping: Stop | None = None
        self.begun = self.ended = False
        #: Whether it was said that the attempt is ours; how it ended, where that is said together.
        self.claimed = False
        self.last_word: StepEvent | None = None
        self.task: asyncio.Task[Any] | None = None

    @property
    def name(self) -> str:
        """Unique per attempt of a step: `<attempt>-<lease>`."""
        return f"{self.requested.attempt}-{self.lease_id}"

    @property
    def prefix(self) -> str:
        """Where its outputs stand in the store."""
        return f"assets/{self.requested.asset_id}/{self.requested.step}/{self.name}"

    def report(self, progress: float, parts: Mapping[str, float]) -> None:
        """See processors.contract.Report."""
        self.progress.note(progress, parts)
        if self._heard is not None:
            self._heard(self)

    def show(self, caption: Caption) -> None:
        """See processors.contract.Work."""
        self.captions += 1
        if self._shown is not None and not self.ended:
            self._shown(self, caption)

    def leave_cpus(self) -> None:
        """See processors.contract.Work."""
        if self.turn is not None:
            self.turn.leave()

    def stop(self, why: Stop) -> None:
        """Kill the work; it ends with the message that says why. Harmless when it has ended or is stopping already."""
        if self.ended or self.stopping is not None:
            return
        self.stopping = why
        if self.task is not None and self.begun:  # a task that is cancelled before its first step takes none
            self.task.cancel()


class AttemptResources(NamedTuple):
    """What attempts work with."""

    store: ObjectStore
    scratch: Scratch
    sources: Sources
    budget: CpuBudget


async def conclude(attempt: Attempt, processor: Processor, bench: AttemptResources) -> StepEvent:
    """Do the work; the message that says how it ended. Nothing but that leaves here, whatever happens."""
    attempt.begun = True
    try:
        if attempt.stopping is not None:
            return _stopped(attempt)
        outputs = await _outputs(attempt, processor, bench)
        return AttemptCompleted(**attempt.identity, outputs=outputs)
    except asyncio.CancelledError as error:
        return _stopped(attempt) if attempt.stopping is not None else _failed(attempt, _bug(attempt, error))
    except Skipped as skipped:
        told = {"hint": skipped.hint} if skipped.hint else {}
        return AttemptSkipped(**attempt.identity, reason=skipped.reason, outputs=told)
    except Exception as error:  # noqa: BLE001 - whatever it is, an attempt ends with a message, never the process
        return _failed(attempt, _recorded(attempt, error))
    finally:
        attempt.ended = True
        if attempt.turn is not None:
            attempt.turn.leave()


async def _outputs(attempt: Attempt, processor: Processor, bench: AttemptResources) -> Json:
    if not attempt.kind.files:
        work = Work(source=_NOWHERE, scratch=_NOWHERE, output=_NOWHERE, prefix=attempt.prefix, **_asked(attempt))
        return _as_json(await processor.process(work))
    async with bench.scratch.space(f"{attempt.requested.step}-{attempt.name}") as space:
        source = await _source(attempt, bench, space)
        outputs = _as_json(await _processed(attempt, processor, bench, source, space))
        await _publish(attempt, bench.store, space.output)
    return outputs


async def _source(attempt: Attempt, bench: AttemptResources, space: Space) -> Path:
    if not attempt.kind.source:
        return _NOWHERE
    return await bench.sources.resolve(downloaded(attempt.requested), space.folder)


async def _processed(
    attempt: Attempt, processor: Processor, bench: AttemptResources, source: Path, space: Space
) -> msgspec.Struct:
    cpus = 1
    if attempt.turn is not None:
        await attempt.turn.come()
        cpus = bench.budget.cpus
    attempt.progress.begin(time.monotonic())

    async def fetch(key: str) -> Path:
        return await bench.sources.artifact(key, space.folder)

    work = Work(
        source=source,
        scratch=space.work,
        output=space.output,
        prefix=attempt.prefix,
        cpus=cpus,
        fetch=fetch,
        leave_cpus=attempt.leave_cpus,
        **_asked(attempt),
    )
    try:
        return await processor.process(work)
    finally:
        if attempt.turn is not None:
            attempt.turn.leave()  # publishing needs no CPU: the next one begins


def _asked(attempt: Attempt) -> Mapping[str, Any]:
    asked = attempt.requested
    return {
        "params": asked.params,
        "inputs": asked.inputs,
        "url": asked.input.url,
        "filename": asked.filename,
        "report": attempt.report,
        "show": attempt.show,
        "asleep_left": asked.asleep_left,
    }


def _as_json(outputs: msgspec.Struct) -> Json:
    plain: Json = msgspec.to_builtins(outputs)
    if not outputs_fit(plain):
        raise OutputsTooLarge(OUTPUTS_TOO_LARGE.message)
    return plain


async def _publish(attempt: Attempt, store: ObjectStore, output: Path) -> None:
    """Stand the outputs in the store, if there are any; an attempt that does not get to its end leaves none."""
    if not await in_thread(files_below, output):
        return
    try:
        await store.publish_tree(output, attempt.prefix)
    except BaseException:
        await _retract(attempt, store)
        raise


async def _retract(attempt: Attempt, store: ObjectStore) -> None:
    try:
        await store.delete_prefix(attempt.prefix)
    except (StoreError, OSError) as error:  # nothing points at it; the error that brought us here counts
        log.warning("unpublished outputs could not be removed", extra={"prefix": attempt.prefix, "error": str(error)})


def _stopped(attempt: Attempt) -> StepEvent:
    kind = AttemptReleased if attempt.stopping == "released" else AttemptCancelled
    return kind(**attempt.identity, progress=attempt.progress.value)


def _failed(attempt: Attempt, record: ErrorRecord) -> AttemptFailed:
    return AttemptFailed(**attempt.identity, error=bounded_error(record), progress=attempt.progress.value)


def _recorded(attempt: Attempt, error: Exception) -> ErrorRecord:
    """An error as data."""
    known = _known(error)
    if known is None:
        return _bug(attempt, error)
    if isinstance(known, OutputInvalid):
        _report_rejected(attempt, known)
    return known.record()


def _known(error: Exception) -> ProcessingError | None:
    """The error that a user reads; None for what nobody has foreseen."""
    match error:
        case ProcessingError():
            return error
        case OSError(errno=number) if number in DISK_FULL:
            return OutOfCapacity(_NO_ROOM, detail=str(error))
        case MemoryError():
            return OutOfCapacity("The machine ran out of memory; it will be tried again.")
        case UnexpectedFile():
            return OutputInvalid("A tool wrote what cannot be published.", detail=str(error))
        case StoreError():
            return SourceUnavailable("The store cannot be reached at the moment.", detail=str(error))
    return None


def _report_rejected(attempt: Attempt, error: OutputInvalid) -> None:
    """A person must look at what our own check rejected, unless the next try may be whole."""
    level = logging.WARNING if error.retriable else logging.ERROR
    why = {"reason": error.found, "detail": error.detail}
    log.log(level, "output rejected by its own check", extra=log_fields(attempt) | why)


def _bug(attempt: Attempt, error: BaseException) -> ErrorRecord:
    """An error of ours: its traceback is for the log, not for the user."""
    log.error("attempt ended by an error of ours", exc_info=error, extra=log_fields(attempt))
    return ErrorRecord(
        code="internal-error",
        message="An error of ours interrupted this step; it will be tried again.",
        retriable=True,
        detail=type(error).__name__,
    )


def log_fields(attempt: Attempt) -> dict[str, Any]:
    """What every log line about it carries."""
    asked = attempt.requested
    return {
        "step": asked.step,
        "job_id": asked.job_id,
        "run": asked.run,
        "attempt": asked.attempt,
        "lease_id": attempt.lease_id,
    }
