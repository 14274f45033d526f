"""Counts of every past moment are those of the rows at that moment."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.base import Message
from schemas.facts import AssetDeleted, AssetReady, JobCompleted, JobDeleted, JobFact, JobSubmitted
from schemas.jobs import Input, Job
from tests.unit.web import oracle
from tests.unit.web.readmodel.crowd import Said, crowd
from tests.unit.web.readmodel.log_records import LogRecord, log_record
from tests.unit.web.rows import NOW
from web.api.stats import stats
from web.readmodel.queries import Counts
from web.timelines.event_index import EventIndex, IndexEnd
from web.timelines.past_counts import TooOld

PARTITIONS = 2


class Story:
    """The events of two hundred jobs, some repeated, on two partitions, and the rows at each moment."""

    def __init__(self) -> None:
        said: Said = []
        crowd(200, seed=11, began=NOW, said=said)
        self.records: list[LogRecord] = []
        #: Each moment, ms, with the rows as of then, by job.
        self.moments: list[tuple[int, dict[str, Job]]] = []
        rows: dict[str, Job] = {}
        offsets = [0] * PARTITIONS
        for n, (at, effects, row) in enumerate(sorted(said, key=lambda one: one[0])):
            partition = sum(row.asset_id.encode()) % PARTITIONS
            for message in effects:
                for _ in range(1 + (n % 7 == 0) if isinstance(message, JobFact) else 0):
                    self.records.append(log_record(message, offsets[partition], at, partition))
                    offsets[partition] += 1
            rows = {**rows, row.id: row}
            self.moments.append((round(at * 1000), rows))
        #: The last rows of each moment.
        self.distinct = [*dict(self.moments).items()]


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[EventIndex]:
    found = EventIndex(tmp_path / "events")
    await found.reset("log", dict.fromkeys(range(PARTITIONS), 0))
    yield found
    found.close()


async def add(index: EventIndex, records: Sequence[LogRecord], size: int = 100) -> None:
    for start in range(0, len(records), size):
        await index.add(records[start : start + size])


async def at(index: EventIndex, moment_ms: int, owner: str | None = None) -> Counts:
    counts = await index.counts_at("log", moment_ms, owner, final=False)
    assert counts is not None
    return counts


def same(counts: Counts, rows: dict[str, Job], owner: str | None) -> None:
    found, expected = stats(counts, ()), oracle.statistics(rows.values(), owner)
    assert (found.jobs, {name: n for name, n in found.pipelines.items() if n}) == (
        expected["jobs"],
        {name: n for name, n in expected["pipelines"].items() if n},
    )


async def test_at_every_moment_the_counts_are_those_of_the_rows(
    index: EventIndex, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.timelines.past_counts._CHUNK_BYTES", 512)  # many chunks
    monkeypatch.setattr("web.timelines.past_counts._TOTALS_SHARE", 0)
    await add(index, story.records)
    for owner in (None, "anna", "bert"):
        for moment, rows in story.distinct[::5]:
            same(await at(index, moment, owner), rows, owner)
    same(await at(index, 2**50), story.moments[-1][1], None)
    assert stats(await at(index, 0), ()).jobs == dict.fromkeys(stats(await at(index, 0), ()).jobs, 0)


async def test_counts_continue_after_a_restart(tmp_path: Path, story: Story) -> None:
    half = len(story.records) // 2
    for start, stop in ((0, half), (half, len(story.records))):
        index = EventIndex(tmp_path / "events")
        if start == 0:
            await index.reset("log", dict.fromkeys(range(PARTITIONS), 0))
        await add(index, story.records[start:stop])
        same(await at(index, 2**50), story.moments[-1][1], None) if stop == len(story.records) else None
        index.close()


async def test_a_batch_that_fails_changes_nothing_and_can_be_repeated(
    index: EventIndex, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = len(story.records) // 2
    await add(index, story.records[:half])
    before, offsets = await at(index, 2**50), await index.next_offsets("log")

    def full(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("web.timelines.event_index._index_jobs", full)
        with pytest.raises(OSError, match="disk full"):
            await add(index, story.records[half:])
    assert (await at(index, 2**50), await index.next_offsets("log")) == (before, offsets)
    await add(index, story.records[half:])
    same(await at(index, 2**50), story.moments[-1][1], None)


async def test_the_oldest_counts_are_removed_at_the_bound_and_the_others_stay_right(
    tmp_path: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.timelines.past_counts._CHUNK_BYTES", 512)
    monkeypatch.setattr("web.timelines.past_counts._TOTALS_SHARE", 0)
    index = EventIndex(tmp_path / "events", max_count_bytes=8_000)
    await index.reset("log", dict.fromkeys(range(PARTITIONS), 0))
    await add(index, story.records)
    with pytest.raises(TooOld) as refused:
        await at(index, story.moments[0][0])
    from_ms = refused.value.from_ms
    kept = [(ms, rows) for ms, rows in story.distinct if ms >= from_ms]
    assert 10 < len(kept) < len(story.distinct)
    for moment, rows in kept:
        same(await at(index, moment), rows, None)
    (size,) = await index._run(
        lambda: index._db.execute("SELECT sum(length(totals) + length(changes)) FROM count_chunks").fetchone()
    )
    assert size <= 8_000 + PARTITIONS * 2000
    index.close()


async def test_a_partition_without_events_for_a_long_time_keeps_its_counts_at_the_bound(
    tmp_path: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.timelines.past_counts._CHUNK_BYTES", 512)
    monkeypatch.setattr("web.timelines.past_counts._TOTALS_SHARE", 0)
    index = EventIndex(tmp_path / "events", max_count_bytes=4_000)
    await index.reset("log", {0: 0, 1: 0, 2: 0})
    await index.add([log_record(_submitted(f"quiet_{n}"), n, NOW - 1000, partition=2) for n in range(50)])
    await add(index, story.records)
    all_jobs = len(story.moments[-1][1]) + 50
    assert _jobs(await at(index, 2**50)) == _jobs(await at(index, story.moments[-1][0])) == all_jobs
    with pytest.raises(TooOld):
        await at(index, story.moments[0][0])
    index.close()


async def test_a_log_without_its_beginning_answers_from_its_first_event_on(tmp_path: Path, story: Story) -> None:
    index = EventIndex(tmp_path / "events")
    await index.reset("log", {0: 1000, 1: 0})
    moved = [record._replace(offset=record.offset + 1000 * (record.partition == 0)) for record in story.records]
    await add(index, moved)
    first_ms = next(record.timestamp for record in moved if record.partition == 0)
    with pytest.raises(TooOld):
        await at(index, first_ms - 1)
    await at(index, first_ms)
    index.close()


async def test_moments_whose_events_are_not_all_indexed_are_not_answered(index: EventIndex, story: Story) -> None:
    await add(index, story.records)
    last = [max(r.timestamp for r in story.records if r.partition == n) for n in range(PARTITIONS)]
    assert await index.counts_at("log", min(last) - 1, None) is not None
    assert await index.counts_at("log", min(last), None) is None  # more may follow at the same moment
    await index.complete(dict.fromkeys(range(PARTITIONS), IndexEnd(max(last) + 10, 0)))
    assert await index.counts_at("log", max(last) + 10, None) is not None
    assert await index.counts_at("log", max(last) + 11, None) is None
    assert await index.counts_at("another log", min(last) - 1, None) is None


async def test_a_brokers_clock_that_goes_back_divides_the_log_once(index: EventIndex) -> None:
    messages = [_submitted(f"job_{n}") for n in range(3)]
    await index.add(
        [log_record(message, n, at) for n, (message, at) in enumerate(zip(messages, (5, 9, 7), strict=True))]
    )
    assert [_jobs(await at(index, ms)) for ms in (4999, 5000, 7000, 8999, 9000)] == [0, 1, 1, 1, 3]


async def test_an_asset_whose_jobs_were_deleted_is_still_counted_until_it_is_deleted(index: EventIndex) -> None:
    about: dict[str, Any] = {"job_id": "job_a", "asset_id": "asset_a", "run": 1, "owner": "anna"}
    job = {**about, "pipeline": "p"}
    messages: list[Message] = [
        _submitted("job_a"),
        JobCompleted(**job),
        AssetReady(**about),
        JobDeleted(**job),
        AssetDeleted(asset_id="asset_a", deleted_at=5.0, owner="anna"),
    ]
    await index.add([log_record(message, n, n) for n, message in enumerate(messages)])
    found = [+Counter((await at(index, n * 1000, "anna")).assets) for n in range(5)]
    assert found == [{"UPLOADED": 1}, {"READY": 1}, {"READY": 1}, {"READY": 1}, {}]


async def test_requests_do_not_block_the_event_loop_while_records_are_added(index: EventIndex, story: Story) -> None:
    adding = asyncio.create_task(add(index, story.records, size=len(story.records)))
    await asyncio.sleep(0)
    assert not adding.done()
    await adding


def _submitted(job_id: str) -> JobSubmitted:
    return JobSubmitted(job_id=job_id, asset_id="asset_a", pipeline="p", run=1, owner="anna", input=Input(object="k"))


def _jobs(counts: Counts) -> int:
    return sum(row.jobs for row in counts.rows if not row.step)
