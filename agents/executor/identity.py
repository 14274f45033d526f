"""The name of an executor: unique and stable over restarts, so it is locked for as long as the process lives."""

from typing import IO, NamedTuple

from streams.process import locks
from streams.settings import Settings


class ExecutorName(NamedTuple):
    """A name, and the lock that makes it ours."""

    name: str
    #: Static member of the consumer group; two living processes with one id would both go on, silently.
    instance_id: str
    #: Kept open for as long as the process lives.
    lock: IO[str]


def claim(settings: Settings, lane: str) -> ExecutorName:
    """The configured name, or `<lane>-<n>` with the lowest n that is free. Raises locks.NameTaken."""
    folder = settings.data_path / "locks" / "executors"
    if settings.executor.name is not None:
        name = settings.executor.name
        return ExecutorName(name, f"kinolog-exec-{name}", locks.claim(folder, name))
    name, lock = locks.claim_first(folder, lane)
    return ExecutorName(name, f"kinolog-exec-{locks.host()}-{name}", lock)
