"""Identity of an executor: a unique name that survives restarts, locked while the process lives.

The lock keeps out other processes of the same data folder. Elsewhere the same name is known by its reports: the process
that comes later does not start while they go on.
"""

import asyncio
import time
from pathlib import Path
from typing import IO, NamedTuple

from aiokafka.errors import KafkaError

from schemas.executors import ExecutorReport
from streams.ids import ID_PATTERN, new_id
from streams.kafka.executor_reports import SILENT_S, latest_reports, silent_before
from streams.process import locks
from streams.settings import Settings

#: Seconds between looks at the reports, and until an executor without a new one has ended.
_LOOK_S, _GONE_S = 1.0, SILENT_S + 1.0


class ExecutorName(NamedTuple):
    """A name and its lock."""

    name: str
    #: Id of the static member of the consumer group. Kafka does not report two live processes with one id.
    instance_id: str
    #: Held until the process exits.
    lock: IO[str]
    #: Id of the name in this data folder, in each report: whoever reported with it has ended, since the lock is ours.
    home: str


def claim(settings: Settings, lane: str) -> ExecutorName:
    """The configured name, or `<lane>-<n>` with the lowest n that is free. Raises locks.NameTaken."""
    folder = settings.data_path / "locks" / "executors"
    if settings.executor.name is not None:
        name = settings.executor.name
        lock = locks.claim(folder, name)
        return ExecutorName(name, f"kinolog-exec-{name}", lock, _home_of(folder / f"{name}.id"))
    name, lock = locks.claim_first(folder, lane)
    return ExecutorName(name, f"kinolog-exec-{locks.host()}-{name}", lock, _home_of(folder / f"{name}.id"))


async def require_alone(settings: Settings, name: ExecutorName) -> None:
    """Return when no process elsewhere reports under this name, in 7 s at most. Raises locks.NameTaken.

    While the log cannot be read, nothing is known; two that start at that moment are told apart by the dispatcher.
    """
    try:
        first = await _report_from_elsewhere(settings, name)
        deadline = time.monotonic() + _GONE_S
        while first is not None and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_S)
            latest = await _report_from_elsewhere(settings, name)
            if latest is not None and (latest.session_id, latest.seq) != (first.session_id, first.seq):
                raise locks.NameTaken(f"The name {name.name!r} is in use by an executor with another data folder.")
    except (KafkaError, OSError, TimeoutError):
        return


async def _report_from_elsewhere(settings: Settings, name: ExecutorName) -> ExecutorReport | None:
    """The last report under this name, if it is recent and from another data folder."""
    reports = await latest_reports(settings, settings.cluster)
    since = silent_before(reports, time.time())
    found = [report for report, at in reports if report.executor_id == name.instance_id and at > since]
    return found[0] if found and found[0].home != name.home else None


def _home_of(path: Path) -> str:
    """The id in this file, which is written at first. The caller has the lock of the name."""
    known = path.read_text(errors="replace").strip() if path.exists() else ""
    if not ID_PATTERN.fullmatch(known):
        path.write_text(known := new_id("home"))
    return known
