"""The index of events by job, and the spans of the log that it selects."""

import asyncio
import itertools
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.facts import AssetDeleted, JobDeleted, JobSubmitted
from schemas.jobs import Input
from tests.unit.web.readmodel.log_records import log_record, of_job
from web.timelines.event_index import MAX_JOB_EVENTS, EventIndex
from web.timelines.event_log import spans


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[EventIndex]:
    found = EventIndex(tmp_path / "events")
    yield found
    found.close()


async def _of_job(index: EventIndex, job_id: str) -> tuple[list[int], int] | None:
    known = await index.of_job(0, job_id)
    return None if known is None else ([*known.offsets], known.next_offset)


async def test_a_jobs_offsets_are_returned_in_order(index: EventIndex) -> None:
    await index.reset("log", {0: 5, 1: 0})
    await index.add([of_job("job_a", 5), of_job("job_a", 6), of_job("job_b", 7)])
    await index.add([of_job("job_a", 2**40)])
    assert await _of_job(index, "job_a") == ([5, 6, 2**40], 2**40 + 1)
    assert await _of_job(index, "job_c") == ([], 2**40 + 1)
    assert await index.of_job(7, "job_a") is None
    assert await index.next_offsets("log") == {0: 2**40 + 1, 1: 0}


async def test_of_a_job_that_is_retried_for_ever_the_newest_offsets_are_kept(index: EventIndex) -> None:
    await index.reset("log", {0: 0})
    for start in range(0, 3 * MAX_JOB_EVENTS, 700):
        await index.add([of_job("job_a", offset) for offset in range(start, start + 700)])
    offsets, end = await _of_job(index, "job_a") or ([], 0)
    assert offsets == [*range(end - MAX_JOB_EVENTS, end)]


async def test_ids_that_nobody_can_ask_for_are_not_indexed(index: EventIndex) -> None:
    await index.reset("log", {0: 0})
    await index.add([of_job("x" * 100_000, 0), of_job("job_a", 1)])
    assert await _of_job(index, "x" * 100_000) == ([], 2)
    assert await _of_job(index, "job_a") == ([1], 2)


async def test_a_deleted_job_leaves_nothing(index: EventIndex) -> None:
    await index.reset("log", {0: 0})
    about = {"job_id": "job_a", "asset_id": "asset_a", "pipeline": "p"}
    messages = [
        JobSubmitted(**about, run=1, input=Input(object="k")),
        JobDeleted(**about, run=1),
        AssetDeleted(asset_id="asset_a", deleted_at=1.0),
    ]
    await index.add([log_record(message, offset) for offset, message in enumerate(messages)])
    for table in ("jobs", "counted_jobs", "counted_assets"):
        assert await index._run(partial(_rows, index, table)) == []
    assert await _of_job(index, "job_a") == ([], 3)


def _rows(index: EventIndex, table: str) -> list[object]:
    return index._db.execute(f"SELECT * FROM {table}").fetchall()


async def test_another_log_starts_with_an_empty_index(index: EventIndex) -> None:
    await index.reset("log", {0: 0})
    await index.add([of_job("job_a", 0)])
    assert await index.next_offsets("other") == {}
    await index.reset("other", {0: 9})
    assert await _of_job(index, "job_a") == ([], 9)


async def test_the_index_survives_a_restart(tmp_path: Path) -> None:
    first = EventIndex(tmp_path / "events")
    await first.reset("log", {0: 0})
    await first.add([of_job("job_a", 3)])
    first.close()
    second = EventIndex(tmp_path / "events")
    assert await _of_job(second, "job_a") == ([3], 4)
    second.close()


async def test_a_damaged_file_is_recreated(tmp_path: Path) -> None:
    (tmp_path / "events").write_bytes(b"no database " * 1000)
    index = EventIndex(tmp_path / "events")
    assert await index.of_job(0, "job_a") is None
    index.close()


async def test_where_no_file_can_be_created_the_index_is_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("web.readmodel.database_file.create", full)
    index = EventIndex(tmp_path / "events")
    await index.reset("log", {0: 0})
    await index.add([of_job("job_a", 3)])
    assert await _of_job(index, "job_a") == ([3], 4)
    index.close()


async def _all(index: EventIndex, count: int) -> None:
    for n in range(count):
        await index.of_job(0, f"job_{n}")


async def test_damage_while_it_is_open_is_an_error_once_and_an_empty_index_after_that(
    index: EventIndex, tmp_path: Path
) -> None:
    await index.reset("log", {0: 0})
    await index.add([of_job(f"job_{n}", n) for n in range(2000)])
    await index._run(lambda: index._db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    with (tmp_path / "events").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 200_000)
    await index._run(lambda: index._db.execute("PRAGMA cache_size = 0"))
    with pytest.raises(sqlite3.DatabaseError):
        await _all(index, 2000)
    assert await index.of_job(0, "job_1") is None
    await index.reset("log", {0: 0})
    assert await _of_job(index, "job_1") == ([], 0)


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(0, 2**62), unique=True, max_size=5), max_size=6))
def test_offsets_of_any_size_are_kept_as_they_are(batches: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_keep(Path(folder), batches))


async def _keep(folder: Path, batches: list[list[int]]) -> None:
    index = EventIndex(folder / "events")
    await index.reset("log", {0: 0})
    for batch in batches:
        await index.add([of_job("job_a", offset) for offset in batch])
    offsets = [offset for batch in batches for offset in batch]
    assert await _of_job(index, "job_a") == (offsets, offsets[-1] + 1 if offsets else 0)
    index.close()


@given(st.lists(st.integers(0, 10_000), unique=True), st.integers(1, 300))
def test_spans_cover_every_offset_once_and_no_long_gap(offsets: list[int], near: int) -> None:
    offsets.sort()
    found = [*spans(offsets, near)]
    assert [offset for start, stop in found for offset in offsets if start <= offset < stop] == offsets
    assert all(later[0] - earlier[1] >= near for earlier, later in itertools.pairwise(found))
