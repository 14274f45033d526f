"""Control over a row cache decides as control with all rows in memory, whatever is flushed and killed in between."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.control import cache_flusher
from agents.control.cache_flusher import CacheFlusher
from agents.control.control import Control
from agents.control.job_tables import JobTables
from schemas.base import Message
from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob, SubmitJob
from schemas.jobs import Input, StepSpec
from tables.assets import LISTED_JOBS
from tables.cache.row_cache import RowCache
from tables.cache.table_rows import TableRows
from tables.changelog_table import ChangelogTable
from tables.rows import DELETED_TTL_S, decode_asset
from tests.unit.agents.control.world import PARTITIONS, App, GivingAll, Log

_PART = 0


class CachedLog(Log):
    """A log with all records of its changelogs, and control processes with a row cache."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.records: dict[str, list[tuple[bytes, bytes | None, int]]] = {"jobs": [], "assets": []}
        self.rows: dict[str, TableRows] = {}
        self.cache: RowCache | None = None

    def write(self, name: str, key: bytes, value: bytes | None) -> None:
        super().write(name, key, value)
        self.records[name].append((key, value, _PART))
        if name in self.rows:
            last = len(self.records[name]) - 1
            self.rows[name].note_delivery(_PART, last, 1, last + 1)

    async def control(self) -> Control:
        if self.cache is not None:
            self.cache.close()
        self.cache = RowCache(self.folder)
        app: Any = App(self)
        tables = {name: ChangelogTable(app, name, PARTITIONS) for name in ("jobs", "assets")}
        for name, table in tables.items():
            table.rows = self.rows[name] = self._recovered(name, self.cache)
        control = Control(app, self.settings, tables["jobs"], tables["assets"], GivingAll(self))
        await control.recovered()
        return control

    def _recovered(self, name: str, cache: RowCache) -> TableRows:
        rows, records = TableRows(name, {}, {}, cache), self.records[name]
        position = rows.position(_PART)
        rows.begin_recovery()
        rows.apply(records[position.offset + 1 if position is not None else 0 :])
        if records:
            rows.advance(_PART, len(records) - 1, len(records))
        rows.follow(_PART, len(records))
        return rows

    def flush(self, slices: int | None = None) -> None:
        """A flush; a kill comes after so many slices."""
        for rows in self.rows.values():
            rows.freeze()
        for rows in self.rows.values():
            for number, _ in enumerate(rows.slices(), start=1):
                if number == slices:
                    return


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[CachedLog]:
    log = CachedLog(tmp_path / "cache")
    yield log
    if log.cache is not None:
        log.cache.close()


def submit(job: int, asset: int) -> SubmitJob:
    return SubmitJob(
        job_id=f"job_{job:03}",
        asset_id=f"asset_{asset}",
        pipeline="noop",
        steps=(StepSpec(name="noop"),),
        input=Input(object="a"),
        submitted_at=float(job),
    )


def command(rng: random.Random) -> Message:
    job = rng.randrange(24)
    about: dict[str, Any] = {"job_id": f"job_{job:03}", "asset_id": f"asset_{job % 3}"}
    kinds: list[Message] = [
        submit(job, job % 3),
        submit(job, job % 3),
        CancelJob(**about),
        RetryJob(**about, run=1),
        DeleteJob(**about, artifacts=rng.random() < 0.5),
        DeleteAsset(asset_id=about["asset_id"], requested_at=1.0),
    ]
    return rng.choice(kinds)


@pytest.mark.parametrize("seed", range(3))
async def test_rows_and_effects_are_those_of_control_in_memory(seed: int, cached: CachedLog) -> None:
    rng, memory = random.Random(seed), Log()
    controls = [await memory.control(), await cached.control()]
    for number in range(150):
        memory.now = cached.now = 1_000.0 + number
        sent, move = command(rng), rng.random()
        for log, control in zip((memory, cached), controls, strict=True):
            await log.send(control, sent)
        if move < 0.3:
            cached.flush(1 if move < 0.1 else None)
        if move < 0.2:  # killed: the last records are read again
            controls = [await memory.control(), await cached.control()]
            again = range(max(len(memory.commands) - rng.randrange(4), 0), len(memory.commands))
            for log, control in zip((memory, cached), controls, strict=True):
                await log.replay(control, again)
        assert cached.changelogs == memory.changelogs
        assert cached.published == memory.published


async def test_jobs_that_no_row_lists_are_known_after_a_restart(cached: CachedLog) -> None:
    await cached.send(await cached.control(), *(submit(number, 1) for number in range(LISTED_JOBS + 5)))
    cached.flush()
    control = await cached.control()
    tables: JobTables = control._tables
    unlisted = tables.unlisted.of("asset_1")
    assert unlisted is not None and set(unlisted) == {f"job_{number:03}" for number in range(5)}
    await cached.send(control, CancelJob(job_id="job_000", asset_id="asset_1"))
    for number in range(5, LISTED_JOBS + 5):
        about: dict[str, Any] = {"job_id": f"job_{number:03}", "asset_id": "asset_1"}
        await cached.send(control, CancelJob(**about), DeleteJob(**about))
    assert set(decode_asset(cached.changelogs["assets"][b"asset_1"]).jobs) == {f"job_{n:03}" for n in range(5)}


async def test_jobs_left_by_a_kill_after_their_asset_was_deleted_are_deleted_at_the_replay(cached: CachedLog) -> None:
    control = await cached.control()
    await cached.send(control, submit(1, 1), CancelJob(job_id="job_001", asset_id="asset_1"))
    cached.flush()
    cached.write("assets", b"asset_1", None)
    cached.commands.append(DeleteAsset(asset_id="asset_1", requested_at=1.0))
    await cached.replay(await cached.control(), [len(cached.commands) - 1])
    assert set(cached.deleted) == {"job_001"}


async def test_marks_are_forgotten_when_no_message_can_restore_their_jobs(cached: CachedLog) -> None:
    control = await cached.control()
    about: dict[str, Any] = {"job_id": "job_001", "asset_id": "asset_1"}
    await cached.send(control, submit(1, 1), CancelJob(**about), DeleteJob(**about))
    cached.flush()
    control = await cached.control()
    cached.now += DELETED_TTL_S - 10
    await cached.send(control, submit(2, 1))
    await control.tick()
    assert set(cached.deleted) == {"job_001"}
    cached.now += 11
    await cached.send(control, submit(3, 1))
    await control.tick()
    assert not cached.deleted
    cached.flush()
    await cached.control()
    assert cached.rows["jobs"].get(b"!job_001") is None


async def test_a_recovery_that_another_one_overtakes_changes_nothing(
    cached: CachedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claims would be those of before: records would count as new."""
    control = await cached.control()
    await cached.send(control, submit(1, 1))
    may_end, log_ends = asyncio.Event(), control._app.log_ends

    async def late_ends(sources: Any) -> Any:
        await may_end.wait()
        return await log_ends(sources)

    monkeypatch.setattr(control._app, "log_ends", late_ends)
    overtaken = asyncio.ensure_future(control.recovered())
    for _ in range(20):
        await asyncio.sleep(0)
    monkeypatch.setattr(control._app, "log_ends", log_ends)
    await cached.send(control, submit(2, 2))
    await control.recovered()
    claims = dict(control._app.continuity._claimed or {})
    may_end.set()
    await overtaken
    assert claims and control._app.continuity._claimed == claims


async def test_few_rows_stay_in_memory(cached: CachedLog) -> None:
    control = await cached.control()
    await cached.send(control, *(submit(number, number) for number in range(20)))
    cached.flush()
    assert not any(rows.recent or list(rows.in_memory()) for rows in cached.rows.values())
    await cached.send(control, CancelJob(job_id="job_007", asset_id="asset_7"))
    assert cached.jobs["job_007"].status == "cancelled"


class Steps:
    """The app of a flusher: what it awaits, in order."""

    def __init__(self, rows: TableRows) -> None:
        self.is_reading, self.batch_sender, self.kafka_producer = True, self, self
        self.done: list[str] = []
        self._rows = rows

    async def send_all(self) -> None:
        self.done.append("sent")

    async def flush(self) -> None:
        assert self._rows.get(b"job_1") == b"{}" and self._rows.cache is not None
        assert self._rows.cache.get(b"jjob_1") is None, "the log did not have it yet"
        self._rows.put(b"job_2", b"{}", 0)  # meanwhile
        self.done.append("delivered")


async def test_a_row_gets_into_the_cache_after_the_log_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut the cache would have what the log has lost."""
    monkeypatch.setattr(cache_flusher, "_SYNCED_S", 0.0)
    cache = RowCache(tmp_path / "cache")
    rows = TableRows("jobs", {}, {}, cache)
    rows.put(b"job_1", b"{}", 0)
    app: Any = Steps(rows)
    table: Any = SimpleNamespace(rows=rows)
    flusher = CacheFlusher(app, cache, [table], 0)
    await flusher.flush()
    assert app.done == ["sent", "delivered"]
    assert cache.get(b"jjob_1") == b"{}" and list(rows.in_memory()) == [(b"job_2", b"{}")]
    cache.close()
