"""The row cache: whatever is killed, flushed or damaged, rows are those of the log."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.jobs import Asset, DeletedJob, Job
from streams.worker.cached_changelog import CacheNotWritten
from tables.cache import row_cache
from tables.cache.deleted_marks import DeletedAt, MarksInCache, MarksInMemory
from tables.cache.row_cache import RowCache, open_cache
from tables.cache.table_rows import TableRows
from tables.rows import encode_row, watermark_row
from tests.unit.tables.example_job import submitted

PARTITION = 3


def job(name: str, status: str = "waiting", *, refused: bool = False) -> Job:
    changed: dict[str, Any] = {"id": name, "asset_id": f"asset_{name[-1]}", "status": status, "refused": refused}
    return replace(submitted()[0], **changed)


def mark(name: str, at: float) -> DeletedJob:
    return DeletedJob(id=name, asset_id=f"asset_{name[-1]}", pipeline="noop", run=1, deleted_at=at)


class World:
    """A changelog partition, and a process with a table on it, killed and started at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[tuple[bytes, bytes | None]] = []
        self.start()

    def start(self) -> None:
        """A new process: a recovery from the cache's position on."""
        cache = open_cache(self.folder)
        assert cache is not None
        self.cache, self.rows = cache, TableRows("jobs", {}, {}, cache)
        self.recover()

    def recover(self) -> None:
        position = self.rows.position(PARTITION)
        first = position.offset + 1 if position is not None else 0
        self.rows.begin_recovery()
        self.rows.apply([(key, row, PARTITION) for key, row in self.log[first:]])
        if self.log:
            self.rows.advance(PARTITION, len(self.log) - 1, len(self.log))
        self.rows.follow(PARTITION, len(self.log))

    def write(self, key: str, row: bytes | None) -> None:
        """Write a row that the log has at once."""
        if row is None:
            self.rows.delete(key.encode(), PARTITION)
        else:
            self.rows.put(key.encode(), row, PARTITION)
        self.log.append((key.encode(), row))
        self.rows.note_delivery(PARTITION, len(self.log) - 1, 1, len(self.log))

    def submit(self, name: str, row: bytes) -> None:
        """As control does it: a job whose mark is forgotten may be there again."""
        self.write("!" + name, None)
        self.write(name, row)

    def delete(self, name: str, at: float) -> None:
        self.write(name, None)
        self.write("!" + name, encode_row(mark(name, at)))

    def flush(self, slices: int | None = None) -> None:
        """Flush; a kill comes after so many slices."""
        self.rows.freeze()
        for number, _ in enumerate(self.rows.slices(), start=1):
            if number == slices:
                return

    def kill(self) -> None:
        self.cache.close()
        self.start()

    @property
    def folded(self) -> dict[bytes, bytes]:
        rows: dict[bytes, bytes] = {}
        for key, row in self.log:
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        return rows


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "cache")
    yield made
    made.cache.close()


names = st.integers(0, 5).map(lambda number: f"job_{number}")
changes = st.one_of(
    st.tuples(st.just("submit"), names, st.sampled_from(["waiting", "active", "completed"])),
    st.tuples(st.just("refuse"), names),
    st.tuples(st.just("damage"), names),
    st.tuples(st.just("delete"), names, st.floats(0, 100)),
    st.tuples(st.just("forget"), names),
)
moves = st.one_of(changes, st.tuples(st.sampled_from(["flush", "kill", "kill in flush", "recover", "foreign"])))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(moves, max_size=30))
def test_rows_are_those_of_the_log_whatever_is_flushed_killed_or_written_by_another_process(
    tmp_path_factory: pytest.TempPathFactory, made: list[Any]
) -> None:
    world = World(tmp_path_factory.mktemp("world") / "cache")
    for move in made:
        act(world, *move)
        same(world)
    world.cache.close()


def act(world: World, move: str, name: str = "", more: Any = None) -> None:  # noqa: C901 - a list of moves
    match move:
        case "submit":
            world.submit(name, encode_row(job(name, more)))
        case "refuse":
            world.submit(name, encode_row(job(name, "failed", refused=True)))
        case "damage":
            world.submit(name, b"\xff another writer's")
        case "delete":
            world.delete(name, more)
        case "forget":
            world.write("!" + name, None)
        case "flush":
            world.flush()
        case "kill in flush":
            world.flush(1)
            world.kill()
        case "kill":
            world.kill()
        case "recover":
            world.recover()
        case "foreign":  # another process had the partition meanwhile; this one notices nothing before it flushes
            world.log.append((b"job_0", encode_row(job("job_0", "failed"))))
            world.write("job_1", encode_row(job("job_1", "failed")))
            world.flush()
            world.recover()


def same(world: World) -> None:
    """Compare with a fold of the log, and the index with the rows."""
    folded = world.folded
    assert dict(world.rows.items()) == folded
    assert all(world.rows.get(key) == row for key, row in folded.items())
    assert world.rows.get(b"job_9") is None
    acted_on = dict(world.rows.items_to_act_on({PARTITION}))
    for key, row in folded.items():
        if key.startswith(b"job") and (b'"waiting"' in row[:200] or row.startswith(b"\xff")):
            assert acted_on[key] == row
    world.flush()
    taken = {taken.job_id for taken in MarksInCache(world.cache, {PARTITION}).take_due(100, 1_000)}
    assert {key[1:].decode() for key in folded if key.startswith(b"!")} == taken
    by_asset = {job_id for _, job_id in world.rows.jobs_by_asset(PARTITION)}
    assert {
        key for key, row in folded.items() if key.startswith(b"job") and b"asset_" in row and b'"refused"' not in row
    } <= by_asset


def test_rows_that_another_process_wrote_meanwhile_are_read_again_after_a_restart(world: World) -> None:
    """A cache that claimed them would lack them for ever."""
    world.write("job_1", encode_row(job("job_1")))
    world.log.append((b"job_2", encode_row(job("job_2"))))
    world.write("job_3", encode_row(job("job_3")))
    world.flush()
    world.kill()
    assert world.rows.get(b"job_2") is not None
    assert dict(world.rows.items()) == world.folded


def test_what_all_rows_say_together_is_known_without_reading_them(world: World) -> None:
    world.write("job_1", encode_row(replace(job("job_1"), at={"commands": 7}, updated_at=50.0)))
    world.write("@3", watermark_row(PARTITION, {"commands": 9, "uploads": 1})[1])
    world.write("!job_2", encode_row(mark("job_2", 80.0)))
    world.flush()
    world.kill()
    position = world.rows.position(PARTITION)
    assert position is not None
    assert (position.applied, position.last_change_s) == ({"commands": 9, "uploads": 1}, 80.0)


def test_a_claim_on_lost_records_ends_with_the_watermark_that_says_so(world: World) -> None:
    world.write("job_1", encode_row(replace(job("job_1"), at={"commands": 70})))
    world.write("@3", watermark_row(PARTITION, {"commands": 60}, lost=("commands",))[1])
    world.flush()
    world.kill()
    position = world.rows.position(PARTITION)
    assert position is not None and position.applied == {"commands": 60}


def test_marks_are_forgotten_in_the_order_of_time_and_once(world: World) -> None:
    for name, at in (("job_1", 30.0), ("job_2", 10.0), ("job_3", 20.0)):
        world.write("!" + name, encode_row(mark(name, at)))
    world.flush()
    marks = MarksInCache(world.cache, {PARTITION})
    assert [taken.job_id for taken in marks.take_due(25.0, 1)] == ["job_2"]
    for taken in marks.take_due(25.0, 10):
        world.write("!" + taken.job_id, None)
        assert taken == DeletedAt(20.0, "job_3", PARTITION)
    assert list(marks.at(30.0, PARTITION)) == ["job_1"] and list(marks.at(20.0, 1)) == []
    world.flush()
    world.kill()
    left = MarksInCache(world.cache, {PARTITION})
    assert [taken.job_id for taken in left.take_due(100.0, 10)] == ["job_2", "job_1"]


def test_marks_in_memory_are_forgotten_as_those_in_the_cache() -> None:
    marks = MarksInMemory([DeletedAt(30.0, "job_1", 0), DeletedAt(10.0, "job_2", 0)])
    marks.add(DeletedAt(40.0, "job_3", 0))
    assert [taken.job_id for taken in marks.take_due(35.0, 1)] == ["job_2"]
    assert [taken.job_id for taken in marks.take_due(35.0, 9)] == ["job_1"]
    assert list(marks.at(40.0, 0)) == ["job_3"] and list(marks.at(40.0, 1)) == []


def test_a_cache_that_is_no_database_is_removed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write("job_1", encode_row(job("job_1")))
    world.flush()
    world.cache.close()
    for path in tmp_path.iterdir():
        if path.name.startswith(("CURRENT", "MANIFEST")):
            path.write_bytes(os.urandom(100))
    world.start()
    assert dict(world.rows.items()) == world.folded
    world.cache.close()


def test_a_cache_of_another_version_is_removed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write("job_1", encode_row(job("job_1")))
    world.cache._db.put(b"\0format", b"0")
    world.cache.close()
    world.start()
    assert dict(world.rows.items()) == world.folded
    world.cache.close()


def test_without_a_folder_there_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert open_cache(tmp_path / "file" / "cache") is None


def test_an_asset_is_found_again(tmp_path: Path) -> None:
    cache = RowCache(tmp_path / "cache")
    table = TableRows("assets", {}, {}, cache)
    asset = Asset(id="asset_1", status="READY", input=submitted()[0].input, created_at=1.0, updated_at=1.0)
    table.put(b"asset_1", encode_row(asset), 0)
    table.freeze()
    assert table.get(b"asset_1") == encode_row(asset)
    list(table.slices())
    assert not table.recent and table.get(b"asset_1") == encode_row(asset)
    cache.close()


def test_a_disk_that_takes_nothing_leaves_the_rows_in_memory(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write("job_1", encode_row(job("job_1")))
    world.cache._db.close()
    world.rows.freeze()
    with pytest.raises(CacheNotWritten):
        list(world.rows.slices())
    world.write("job_2", encode_row(job("job_2")))
    assert [key for key, _ in world.rows.in_memory()] == [b"job_1", b"job_2"]
    assert world.rows.get(b"job_1") is not None


def test_what_was_deleted_leaves_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "REWRITE_S", 1)
    world = World(tmp_path)
    for number in range(9):
        world.write(f"job_{number}", encode_row(replace(job(f"job_{number}"), passthrough="a secret")))
    world.flush()
    world.cache.spill()
    for number in range(9):
        world.write(f"job_{number}", None)
    deadline = time.monotonic() + 30
    while any(b"a secret" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file()):
        assert time.monotonic() < deadline
        world.write("job_9", encode_row(job("job_9")))
        world.flush()
        world.cache.spill()
        time.sleep(0.2)
    world.cache.close()


def test_a_table_that_has_given_its_cache_up_keeps_its_rows(world: World) -> None:
    world.write("job_1", encode_row(job("job_1")))
    world.rows.abandon()
    world.flush()
    world.write("job_2", None)
    assert [key for key, _ in world.rows.items()] == [b"job_1"] and world.rows.get(b"job_1") is not None


def test_a_flush_that_a_recovery_overtakes_changes_nothing(world: World) -> None:
    world.write("job_1", encode_row(job("job_1")))
    world.rows.freeze()
    world.write("job_2", encode_row(job("job_2")))
    world.recover()
    before = world.rows.position(PARTITION)
    assert list(world.rows.slices()) == [] and world.rows.position(PARTITION) == before
    assert dict(world.rows.items()) == world.folded
