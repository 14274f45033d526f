"""What a processor is given, and what it must be."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from processors.errors import SourceMissing
from schemas.base import Json
from schemas.transcribe import Caption

#: Progress of the attempt: 0-1, and 0-1 per part (e.g. rendition). Cheap; call as often as there is news.
Report = Callable[[float, Mapping[str, float]], None]


#: A published file of a step before, by its key, as a readable local file. Raises SourceMissing, SourceUnavailable.
Fetch = Callable[[str], Awaitable[Path]]


async def _nothing(key: str) -> Path:
    """There is no store."""
    raise SourceMissing(f"There is no file {key!r}.")


def _silent(progress: float, parts: Mapping[str, float]) -> None:
    """Nobody listens."""


def _leave() -> None:
    """There is no line for the CPUs."""


def _unseen(caption: Caption) -> None:
    """Nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One attempt of one step."""

    #: The source as a readable local file; its name says nothing about its content.
    source: Path
    #: Empty folder for whatever is needed on the way; removed afterwards, whatever happens.
    scratch: Path
    #: Empty folder for what shall be published, relative paths as they shall be served.
    output: Path
    #: Key in the store at which `output` will stand, e.g. "assets/asset_1/transcode/1-lease_2".
    prefix: str
    #: Parameters as the pipeline has them; each processor converts them by its own schema.
    params: Json = field(default_factory=dict)
    #: Outputs of the steps before, by step name.
    inputs: Mapping[str, Json] = field(default_factory=dict)
    #: Address of the source, for the step that downloads it.
    url: str | None = None
    #: Name of the upload, for people only.
    filename: str | None = None
    #: Threads to use.
    cpus: int = 1
    report: Report = _silent
    fetch: Fetch = _nothing
    #: Called with every caption as soon as it is known, for whoever watches; may be lost.
    show: Callable[[Caption], None] = _unseen
    #: Called by a heavy step that needs the CPUs no more, or not here: the next one begins. A repeat is harmless.
    leave_cpus: Callable[[], None] = _leave
    #: Further waits of the step's policy for an endpoint that is asleep; 0: go on to the next backend.
    asleep_left: int = 0

    def key(self, relative: str) -> str:
        """The store key of a file below `output`."""
        return f"{self.prefix}/{relative}"


class Processor(Protocol):
    """Does one step. The same work twice gives the same result; cancelling leaves no process."""

    async def process(self, work: Work) -> msgspec.Struct:
        """Outputs of the step. Raises ProcessingError, or Skipped; CancelledError when it is cancelled."""
        ...
