"""A web replica without Kafka and HTTP: batches of records in, lists and live frames out."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from schemas.jobs import Asset, Job, Queue, Watermark
from streams.settings import Settings
from streams.settings.interface import Web
from tests.unit.web.queue_order import reports_of
from tests.unit.web.rows import NOW, record, tombstone
from web.http.cursors import LiveCursor, load
from web.live.catch_up import CatchUp
from web.live.changelog_follower import ChangelogFollower
from web.live.client import Client
from web.live.hub import Hub
from web.live.progress import Progress
from web.live.ws_frames import Frame
from web.readmodel.changelog import Record
from web.readmodel.position import Position
from web.readmodel.projector import Batch
from web.readmodel.read_model import ReadModel
from web.readmodel.subscriptions import Subscription

PARTITIONS = 2
ALL = Subscription(frozenset({"all"}), None)


class Replica:
    """A replica; call `begin` first. `write` writes rows to their partitions in order, as control does."""

    def __init__(self, folder: Path, **web: Any) -> None:
        self.settings = Settings(data_dir=str(folder), partitions=PARTITIONS, web=Web(**{"after_timeout_s": 0.2} | web))
        self.position, self.progress = Position("media.commands"), Progress()
        self.model = ReadModel(folder / "web-1.sqlite3", self.settings.web.live_history, self.progress.live)
        self.hub = Hub(self.position, self.progress, self.settings.web.live_queue_bytes)
        self.follower = ChangelogFollower(self.settings, self.model, self.position, self.progress, self.hub)
        self.catch_up = CatchUp(self.model, self.position, self.progress, self.hub, self.settings.web)
        self._offsets = [0] * PARTITIONS
        self._jobs: dict[str, Job] = {}

    async def begin(self) -> None:
        """An empty log, caught up with."""
        await self.model.rebuild("a cluster", PARTITIONS)
        self.position.restart("a mark", [0] * PARTITIONS, rebuilding=False)
        self.position.caught_up.set()

    def resume(self, earlier: "Replica") -> None:
        """Instead of `begin`: resume where `earlier`, which is closed, has stopped."""
        self._offsets = list(earlier._offsets)
        self.position.restart("a mark", list(self._offsets), rebuilding=False)
        self.position.caught_up.set()

    async def pause(self, step: str, *, paused: bool = True) -> None:
        """A queue is paused, or resumed."""
        await self.write(Queue(step=step, paused=paused, changed_at=NOW))

    async def write(self, *rows: Job | str | Watermark | Asset | Queue) -> None:
        """Rows, or ids of jobs that are deleted, as one batch; a watermark and a queue go to partition 0."""
        jobs = [self._record(row) for row in rows if not isinstance(row, Asset)]
        assets = [record(row, 0) for row in rows if isinstance(row, Asset)]
        await self.take({"jobs": jobs, "assets": assets})
        self._dispatch(rows)

    def _dispatch(self, rows: Sequence[object]) -> None:
        """The dispatcher reports the queues after a change."""
        for row in rows:
            if isinstance(row, Job):
                self._jobs[row.id] = row
            elif isinstance(row, str):
                self._jobs.pop(row, None)
        queues = self.progress.queues
        for report in reports_of(self._jobs.values(), queues.steps()):
            queues.report(report)

    async def take(self, batch: Batch) -> None:
        await self.follower.take(batch)

    def _record(self, row: Job | str | Watermark | Queue) -> Record:
        an_id = row if isinstance(row, str) else getattr(row, "id", "@0")
        partition = sum(an_id.encode()) % PARTITIONS if an_id != "@0" else 0
        offset, self._offsets[partition] = self._offsets[partition], self._offsets[partition] + 1
        return tombstone(row, offset, partition) if isinstance(row, str) else record(row, offset, partition)

    async def listen(self, cursor: str | None = None, subscription: Subscription = ALL) -> "Listener":
        """A client that has got its first frames."""
        return await self.opened(self.hub.join(subscription), cursor)

    async def opened(self, client: Client, cursor: str | None = None) -> "Listener":
        """The client of the hub with its first frames."""
        since = load(cursor, LiveCursor) if cursor else None
        listener = Listener(client)
        async with aclosing(cast(Any, self.catch_up.frames(client, since))) as frames:
            async for frame in frames:
                listener.take(frame)
        return listener


@asynccontextmanager
async def replica_below(folder: Path, **web: Any) -> AsyncIterator[Replica]:
    """A started replica; its files are closed in any case."""
    replica = Replica(folder, **web)
    try:
        await replica.begin()
        yield replica
    finally:
        replica.model.close()


class Listener:
    """Folds frames as a dashboard does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.cursor: str | None = None
        self.jobs: dict[str, dict[str, Any]] = {}
        #: Every state change in the order in which it came, as (job id, updated_at or "gone").
        self.changes: list[tuple[str, str]] = []
        #: Job frames with a state that the client had already.
        self.repeats: list[tuple[str, str]] = []
        self.kinds: list[str] = []
        self.frames: list[Frame] = []

    def take(self, frame: Frame) -> None:
        content = json.loads(frame.text)
        self.kinds.append(content["type"])
        self.frames.append(frame)
        self.cursor = content.get("cursor") or self.cursor
        if content["type"] == "snapshot":
            self.jobs = (self.jobs if content["part"] > 1 else {}) | {job["id"]: job for job in content["jobs"]}
        elif content["type"] == "job":
            self._change(content["job"])
        elif content["type"] == "queue":
            for job in self.jobs.values():
                self._queue(job, content)
        elif content["type"] == "deleted":
            self.jobs.pop(content["job_id"], None)
            self.changes.append((content["job_id"], "gone"))

    def _change(self, job: dict[str, Any]) -> None:
        before, self.jobs[job["id"]] = self.jobs.get(job["id"], {}), job
        change = (job["id"], job["updated_at"])
        (self.repeats if before.get("updated_at") == job["updated_at"] else self.changes).append(change)

    def _queue(self, job: dict[str, Any], frame: dict[str, Any]) -> None:
        """Positions are of some jobs; that the queue is paused is about all that wait in it."""
        for step in job["steps"]:
            if step["name"] != frame["step"] or step["status"] not in ("waiting", "delayed"):
                continue
            if step["status"] == "waiting" and job["id"] in frame["positions"]:
                step["queue_position"] = frame["positions"][job["id"]]
                self._estimate(job, step, frame["eta_s"].get(job["id"]))
            if "waiting_reason" in step:
                step["waiting_reason"] = frame["reason"] or "queued"
            if not frame["paused"]:
                step.pop("paused", None)
                continue
            job["eta_s"] = None
            step.pop("eta_s", None)
            if "waiting_reason" in step:
                step["paused"] = True

    def _estimate(self, job: dict[str, Any], step: dict[str, Any], eta_s: float | None) -> None:
        """All jobs here have one step."""
        step.pop("eta_s", None)
        job["eta_s"] = eta_s
        if eta_s is not None:
            step["eta_s"] = eta_s

    async def read(self) -> None:
        """Read what is queued now."""
        while self.client._changes or self.client._progress or self.client._queue_frames:
            self.client._progress_due = 0.0
            for frame in await self.client.next_frames():
                self.take(frame)


def shown(rows: Sequence[Any]) -> dict[str, Any]:
    """Rows by id."""
    return {row["id"]: msgspec.to_builtins(row) for row in rows}
