"""Identity of an executor: a unique name that survives restarts, locked while the process lives."""

from typing import IO, NamedTuple

from streams.process import locks
from streams.settings import Settings


class ExecutorName(NamedTuple):
    """A name and its lock."""

    name: str
    #: Id of the static member of the consumer group. Kafka does not report two live processes with one id.
    instance_id: str
    #: Held until the process exits.
    lock: IO[str]


def claim(settings: Settings, lane: str) -> ExecutorName:
    """The configured name, or `<lane>-<n>` with the lowest n that is free. Raises locks.NameTaken."""
    folder = settings.data_path / "locks" / "executors"
    if settings.executor.name is not None:
        name = settings.executor.name
        return ExecutorName(name, f"kinolog-exec-{name}", locks.claim(folder, name))
    name, lock = locks.claim_first(folder, lane)
    return ExecutorName(name, f"kinolog-exec-{locks.host()}-{name}", lock)
