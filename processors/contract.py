"""The contract between an executor and the processors: the work of one attempt, and what reads it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from processors.errors import InvalidParams, SourceMissing
from schemas.base import Json
from schemas.transcribe import Caption

#: Reports progress of the attempt, 0-1, and of its parts (e.g. renditions), 0-1 each. Cheap: call it at every change.
Report = Callable[[float, Mapping[str, float]], None]
#: Returns a published file of an earlier step, by its key, as a readable local file. Raises SourceMissing,
#: SourceUnavailable.
Fetch = Callable[[str], Awaitable[Path]]

S = TypeVar("S", bound=msgspec.Struct)


async def _no_store(key: str) -> Path:
    """Default of `Work.fetch`."""
    raise SourceMissing(f"There is no file {key!r}.")


def _ignore_progress(progress: float, parts: Mapping[str, float]) -> None:
    """Default of `Work.report`."""


def _ignore_caption(caption: Caption) -> None:
    """Default of `Work.on_caption`."""


def _keep_cpus() -> None:
    """Default of `Work.release_cpus`."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One attempt of one step: its inputs, its folders and its callbacks."""

    #: The source as a readable local file; its name has no meaning.
    source: Path
    #: Empty folder for temporary files; always removed afterwards.
    scratch: Path
    #: Empty folder for the outputs, at the relative paths under which they are published.
    output: Path
    #: Store key under which `output` is published, e.g. "assets/asset_1/transcode/1-lease_2".
    prefix: str
    #: Parameters from the pipeline; read them with `params_of`.
    params: Json = field(default_factory=dict)
    #: Outputs of the earlier steps by step name; read them with `outputs_of`.
    inputs: Mapping[str, Json] = field(default_factory=dict)
    #: URL of the source, for the step `download`.
    url: str | None = None
    #: Name of the uploaded file, for messages only.
    filename: str | None = None
    #: Threads to use.
    cpus: int = 1
    report: Report = _ignore_progress
    fetch: Fetch = _no_store
    #: Called with each caption as soon as it is known, for live display; may be lost.
    on_caption: Callable[[Caption], None] = _ignore_caption
    #: Called by a heavy step that needs no CPUs, or no more, so that the next one starts. A repeat is harmless.
    release_cpus: Callable[[], None] = _keep_cpus
    #: Remaining waits of the step's policy for a sleeping endpoint; 0: continue with the next backend.
    asleep_left: int = 0

    def key(self, relative: str) -> str:
        """The store key of a file below `output`."""
        return f"{self.prefix}/{relative}"


class Processor(Protocol):
    """Executes one step. The same work gives the same result; a cancelled call leaves no child process."""

    async def process(self, work: Work) -> msgspec.Struct:
        """The step's outputs. Raises ProcessingError, Skipped, CancelledError."""
        ...


def is_able(processor: Processor) -> bool:
    """Whether the processor can work now; one without the property `is_able` always can."""
    return bool(getattr(processor, "is_able", True))


def params_of(work: Work, schema: type[S]) -> S:
    """The step's parameters. Raises InvalidParams that names the parameter."""
    try:
        return msgspec.convert(work.params, schema)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"Invalid parameters in the pipeline: {error}") from error


def outputs_of(work: Work, step: str, schema: type[S]) -> S:
    """The outputs of an earlier step. Raises InvalidParams when it did not run."""
    try:
        return msgspec.convert(work.inputs[step], schema)
    except (KeyError, msgspec.ValidationError) as error:
        raise InvalidParams(f"The pipeline must run the step `{step}` before this one.", detail=str(error)) from error
