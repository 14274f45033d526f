"""A world for tests of control, without Faust and Kafka: a log with compacted changelogs, and an app on it."""

import asyncio
import contextlib
import json
from collections.abc import Iterable, Set
from types import SimpleNamespace
from typing import Any

from agents.control.control import Control
from agents.control.job_tables import JobTables
from schemas.base import Message
from schemas.jobs import Asset, DeletedJob, Job, Queue
from streams.kafka.envelope import BATCH_HEADERS, UNDECODABLE, Entry, batch, read, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.continuity import Continuity
from streams.worker.quarantine import Quarantine, position_of
from tables.changelog_table import ChangelogTable
from tables.dispatch.rows import is_ready
from tables.effects import event_id, step_request
from tables.rows import decode_asset, decode_job, split_rows

PARTITIONS = 1


class Ended(Exception):
    """The process has ended because of a record."""


class App:
    """The part of a Faust app that control uses."""

    def __init__(self, log: "Log") -> None:
        self.conf = SimpleNamespace(id="kinolog-control", broker_client_id="control-1")
        self.is_reading = log.is_reading
        self.continuity, self.quarantine = Continuity(), log.quarantine
        self.outbox = SimpleNamespace(put=self._deliver)
        self.batch_sender = self
        self._log = log
        tp = SimpleNamespace(topic=names(log.settings).commands, partition=0)
        self.consumer = SimpleNamespace(assignment=lambda: [tp])
        self.commit_all = self.send_all

    def Table(self, name: str, **_: Any) -> Any:  # noqa: N802 - Faust's name
        rows = dict(self._log.changelogs.get(name, {}))
        return SimpleNamespace(data=SimpleNamespace(data=rows, _key_partition={}), on_recover=None)

    def put(self, topic: str, _partition: int, key: bytes, value: bytes | None, headers: Any = ()) -> None:
        name = topic.removeprefix("kinolog-control-").removesuffix("-changelog")
        if name != topic:
            self._log.write(name, key, value)
        else:
            self._log.publish(value, headers)

    async def exit_over_record(self, message: Any, error: Exception) -> None:
        """As the app does it; the test continues with the next process."""
        self.quarantine.add(position_of(message), repr(error))
        raise Ended from error

    async def log_ends(self, sources: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Of a log that has lost nothing."""
        return dict.fromkeys(sources, 10**9)

    def pass_skipped(self) -> list[Any]:
        """Nothing: every offset of this log has a record."""
        return []

    async def send_all(self) -> None:
        """Everything is delivered at once."""

    def _deliver(self, _topic: str, _partition: int, event: bytes) -> "asyncio.Future[Any]":
        delivered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._log.is_away:
            self._log.queued.append((event, delivered))
        else:
            self._log.publish(batch([event]), BATCH_HEADERS)
            delivered.set_result(self._log.dated())
        return delivered


class GivingAll:
    """A dispatcher that gives every step that is ready at once, to an executor that does not exist."""

    def __init__(self, log: "Log") -> None:
        self._log = log

    def restart(self, tables: JobTables, owned: Set[int]) -> None:
        for key, row in tables.jobs.items():
            with contextlib.suppress(*UNDECODABLE):
                self.observe([decode_job(row)] if key[:1] not in ("@", "!", "~", "") else [], 0.0)

    is_giving: bool | None = None

    def stop(self) -> None: ...
    def flush(self) -> None: ...

    def observe(self, changed: Iterable[Job | Queue], at: float) -> None:
        for job in [row for row in changed if isinstance(row, Job)]:
            for step in job.steps:
                if is_ready(step):
                    request = step_request(job, step)
                    self._log.published[event_id(request)] = request


class Log:
    """The broker: compacted changelogs, and all published events by id."""

    def __init__(self) -> None:
        self.settings = Settings(partitions=PARTITIONS)
        #: Whether control has recovered.
        self.is_reading = False
        #: Kept with the committed offsets.
        self.quarantine = Quarantine()
        self.changelogs: dict[str, dict[bytes, bytes]] = {"jobs": {}, "assets": {}}
        self.published: dict[str, Message] = {}
        self.commands: list[Message] = []
        #: Timestamp of the next record.
        self.now = 1_000.0
        #: The broker's time, as it dates deliveries; unset: it does not.
        self.broker_time: float | None = None
        #: Whether the broker takes nothing; the events that wait for it.
        self.is_away = False
        self.queued: list[tuple[bytes, asyncio.Future[Any]]] = []

    def dated(self) -> Any:
        """Metadata of a delivery."""
        at = self.broker_time
        return SimpleNamespace(timestamp=at * 1000, timestamp_type=1) if at is not None else None

    async def settle(self) -> None:
        """Let callbacks of deliveries run."""
        await asyncio.sleep(0)

    def write(self, name: str, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.changelogs[name].pop(key, None)
        else:
            self.changelogs[name][key] = value

    def publish(self, value: bytes | None, headers: Any) -> None:
        for entry in read(value, headers):
            assert isinstance(entry, Entry), entry
            self.published[entry.event.id] = entry.message

    async def control(self) -> Control:
        """A new process, recovered from the changelogs."""
        app: Any = App(self)
        jobs, assets = (ChangelogTable(app, name, PARTITIONS) for name in ("jobs", "assets"))
        control = Control(app, self.settings, jobs, assets, GivingAll(self))
        await control.recovered()
        return control

    def reconnect(self) -> list[Message]:
        """Take the waiting events, and return them."""
        self.is_away, waited = False, self.queued
        self.queued = []
        for _, delivered in waited:
            delivered.set_result(None)
        return [entry.message for event, _ in waited for entry in read(batch([event])) if isinstance(entry, Entry)]

    async def send(self, control: Control, *messages: Message) -> None:
        """Append to `media.commands`, and let `control` read it."""
        for message in messages:
            self.commands.append(message)
            await self.replay(control, [len(self.commands) - 1])

    async def replay(self, control: Control, offsets: Iterable[int]) -> None:
        """Let `control` read these records."""
        for offset in offsets:
            message: Any = self.commands[offset]
            subject = getattr(message, "asset_id", "queue")
            event = structured(message, event_id=f"c{offset}", source="test", subject=subject)
            await control.handle(self.record(offset, batch([event]), BATCH_HEADERS, partition_of(subject, PARTITIONS)))

    def record(self, offset: int, value: bytes, headers: Any, partition: int = 0, *, at: float | None = None) -> Any:
        """A Kafka record of `media.commands`."""
        return SimpleNamespace(
            topic=names(self.settings).commands,
            partition=partition,
            offset=offset,
            timestamp=self.now if at is None else at,
            key=None,
            value=value,
            headers=headers,
        )

    @property
    def jobs(self) -> dict[str, Job]:
        return {row.id: row for row in self._rows() if isinstance(row, Job)}

    @property
    def deleted(self) -> dict[str, DeletedJob]:
        return {row.id: row for row in self._rows() if isinstance(row, DeletedJob)}

    @property
    def assets(self) -> dict[str, Asset]:
        return {
            key.decode(): decode_asset(row)
            for key, row in self.changelogs["assets"].items()
            if not key.startswith(b"@")
        }

    def _rows(self) -> Iterable[Any]:
        rows = ((key.decode(), row) for key, row in self.changelogs["jobs"].items())
        return [row for _, row, _ in split_rows(rows)]

    def all(self, kind: type[Any]) -> list[Any]:
        """All published events of that kind; repeats count once."""
        return [message for message in self.published.values() if isinstance(message, kind)]

    def applied_offset(self) -> int:
        """Highest applied offset of the commands in the jobs' rows."""
        offsets = [json.loads(row).get("at", {}) for row in self.changelogs["jobs"].values()]
        return max((at.get(names(self.settings).commands, -1) for at in offsets), default=-1)
