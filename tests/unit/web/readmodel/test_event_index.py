"""The index of events by job, and the spans of the log that it selects."""

import asyncio
import itertools
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.readmodel.event_index import EventIndex
from web.readmodel.event_indexer import PendingOffsets
from web.readmodel.event_log import spans


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
    await index.add({"job_b": [7], "job_a": [5, 6]}, (), {0: 8})
    await index.add({"job_a": [2**40]}, (), {0: 2**40 + 1})
    assert await _of_job(index, "job_a") == ([5, 6, 2**40], 2**40 + 1)
    assert await _of_job(index, "job_c") == ([], 2**40 + 1)
    assert await index.of_job(7, "job_a") is None
    assert await index.next_offsets("log") == {0: 2**40 + 1, 1: 0}


async def test_a_deleted_job_leaves_nothing(index: EventIndex) -> None:
    await index.reset("log", {0: 0})
    found = PendingOffsets()
    found.take(0, 0, {"ce_correlationid": b"job_a", "ce_type": b"media.job.submitted.v1"})
    found.take(0, 1, {"ce_correlationid": b"job_a", "ce_type": b"media.job.deleted.v1"})
    found.take(0, 2, {"ce_type": b"media.asset.deleted.v1"})
    await index.add(found.offsets, found.deleted, found.next_offsets)
    assert await _of_job(index, "job_a") == ([], 3)


async def test_another_log_starts_with_an_empty_index(index: EventIndex) -> None:
    await index.reset("log", {0: 0})
    await index.add({"job_a": [0]}, (), {0: 1})
    assert await index.next_offsets("other") == {}
    await index.reset("other", {0: 9})
    assert await _of_job(index, "job_a") == ([], 9)


async def test_the_index_survives_a_restart(tmp_path: Path) -> None:
    first = EventIndex(tmp_path / "events")
    await first.reset("log", {0: 0})
    await first.add({"job_a": [3]}, (), {0: 4})
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
    await index.add({"job_a": [3]}, (), {0: 4})
    assert await _of_job(index, "job_a") == ([3], 4)
    index.close()


async def _all(index: EventIndex, count: int) -> None:
    for n in range(count):
        await index.of_job(0, f"job_{n}")


async def test_damage_while_it_is_open_is_an_error_once_and_an_empty_index_after_that(
    index: EventIndex, tmp_path: Path
) -> None:
    await index.reset("log", {0: 0})
    await index.add({f"job_{n}": [n] for n in range(2000)}, (), {0: 2000})
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
        await index.add({"job_a": batch}, (), {0: 1})
    assert await _of_job(index, "job_a") == ([offset for batch in batches for offset in batch], 1 if batches else 0)
    index.close()


@given(st.lists(st.integers(0, 10_000), unique=True), st.integers(1, 300))
def test_spans_cover_every_offset_once_and_no_long_gap(offsets: list[int], near: int) -> None:
    offsets.sort()
    found = [*spans(offsets, near)]
    assert [offset for start, stop in found for offset in offsets if start <= offset < stop] == offsets
    assert all(later[0] - earlier[1] >= near for earlier, later in itertools.pairwise(found))
