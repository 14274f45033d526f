"""Lists and statistics against brute force: every filter, sort and page."""

import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from schemas.jobs import AssetStatus, Job
from schemas.steps import step_kinds
from streams.kafka.envelope import iso_time
from tests.unit.web import oracle
from tests.unit.web.readmodel.crowd import PIPELINES, crowd
from tests.unit.web.replica import Replica, replica_below
from tests.unit.web.rows import NOW
from web.api.jobs.listing import JOBS
from web.api.paging import page_rows
from web.api.stats import stats
from web.http.cursors import PageCursor, dump
from web.readmodel import queries
from web.readmodel.job_groups import STEP_STATUSES
from web.readmodel.job_table import StoredProgress
from web.readmodel.list_query import parse

FILTERS: tuple[dict[str, str], ...] = (
    {},
    {"status": "failed"},
    {"status": "waiting,active"},
    {"pipeline": "noop"},
    {"q": "röm"},
    {"q": "ärger"},
    {"q": "100 % 'quoted'"},
    {"q": "job_00001"},
    {"asset_id": "asset_000007"},
    {"owner": "bert"},
    {"step": "transcode"},
    {"step": "transcode:queued"},
    {"step": "noop:active"},
    {"error_code": "corrupt-media"},
    {"created_after": iso_time(NOW + 20), "created_before": iso_time(NOW + 41)},
)


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with replica_below(tmp_path) as found:
        yield found


@pytest.fixture
async def jobs(replica: Replica) -> dict[str, Job]:
    """Written as they came about, in batches of any size; some are deleted in the end."""
    rows, jobs = crowd(200, seed=5, began=NOW)
    chance = random.Random(5)
    while rows:
        size = chance.randrange(1, 40)
        await replica.write(*rows[:size])
        del rows[:size]
    for job_id in chance.sample(sorted(jobs), 12):
        del jobs[job_id]
        await replica.write(job_id)
    assert {job.status for job in jobs.values()} == {"waiting", "active", "completed", "failed", "cancelled"}
    return jobs


async def listed(replica: Replica, query: dict[str, str], owner: str | None) -> list[str]:
    """Ids of all pages."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        listing = parse(query | cursor, JOBS, owner)
        rows = await replica.model.read(page_rows, listing)
        ids += [an_id for an_id, _, _ in rows[: listing.limit]]
        if len(rows) <= listing.limit:
            return ids
        an_id, value, _ = rows[listing.limit - 1]
        cursor = {"cursor": dump(PageCursor(listing.sort, value, an_id))}


@pytest.mark.parametrize("sample_rows", [20, 2_000])
async def test_every_filter_sort_and_page_is_what_brute_force_finds(
    replica: Replica, jobs: dict[str, Job], sample_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.api.paging._FIRST_ROWS", sample_rows)
    sorts = [sign + sort for sort in oracle.SORTS for sign in ("", "-")]
    pairs = [*((one, {}) for one in FILTERS), *itertools.combinations(FILTERS[1:], 2)]
    nonempty = 0
    for n, (one, other) in enumerate(pairs):
        for owner in (None, "anna"):
            query = one | other | {"sort": sorts[n % len(sorts)], "limit": str((7, 50, 500)[n % 3])}
            expected = oracle.answer(jobs.values(), query, owner)
            nonempty += bool(expected)
            assert await listed(replica, query, owner) == expected, query
    for sort in sorts:
        query = {"sort": sort, "limit": "33"}
        assert await listed(replica, query, None) == oracle.answer(jobs.values(), query, None)
    assert nonempty > 60


@pytest.mark.parametrize("owner", [None, "anna", "nobody"])
async def test_statistics_are_what_lists_count(replica: Replica, jobs: dict[str, Job], owner: str | None) -> None:
    found = stats(await replica.model.read(queries.counts, owner), PIPELINES)
    expected = oracle.statistics(jobs.values(), owner, PIPELINES)
    assert (found.jobs, found.pipelines) == (expected["jobs"], expected["pipelines"])
    assert (found.pipeline_status, found.steps) == (expected["pipeline_status"], expected["steps"])
    for status, count in found.jobs.items():
        assert len(await listed(replica, {"status": status}, owner)) == count
    for step, counts in found.steps.items():
        for status, count in counts.items():
            assert len(await listed(replica, {"step": f"{step}:{status}"}, owner)) == count


@pytest.mark.parametrize("owner", [None, "anna", "nobody"])
async def test_counts_of_a_filter_are_those_of_its_list(
    replica: Replica, jobs: dict[str, Job], owner: str | None
) -> None:
    for one, other in itertools.combinations(FILTERS, 2):
        query = one | other
        found = await replica.model.read(queries.count_by_status, parse(query, JOBS, owner))
        expected = Counter(jobs[an_id].status for an_id in oracle.answer(jobs.values(), query, owner))
        assert found == expected, query


async def test_failures_are_grouped_by_code_with_the_newest_of_each(replica: Replica, jobs: dict[str, Job]) -> None:
    for owner in (None, "anna", "nobody"):
        mine = [job for job in jobs.values() if owner in (None, job.owner)]
        failed = [job for job in mine if job.status == "failed" and job.error is not None]
        codes = Counter(job.error.code for job in failed if job.error)
        found = await replica.model.read(queries.failures, owner, 10)
        assert {group.code: group.jobs for group in found} == codes
        assert [group.jobs for group in found] == sorted(codes.values(), reverse=True)
        for group in found:
            same = [job for job in failed if job.error and job.error.code == group.code]
            assert group.newest.id == max(same, key=lambda job: (job.created_at, job.id)).id
    assert len(await replica.model.read(queries.failures, None, 1)) == 1


async def test_statuses_without_jobs_are_counted_as_zero(replica: Replica) -> None:
    found = stats(await replica.model.read(queries.counts, None), ["noop"])
    assert found.jobs == {"waiting": 0, "active": 0, "completed": 0, "failed": 0, "cancelled": 0}
    assert (found.pipelines, found.pipeline_status) == ({"noop": 0}, {"noop": found.jobs})
    assert found.assets.keys() == set(get_args(AssetStatus)) and not any(found.assets.values())
    assert found.steps.keys() == set(step_kinds())
    assert all(counts == dict.fromkeys(STEP_STATUSES, 0) for counts in found.steps.values())


async def test_a_list_by_progress_follows_running_jobs(replica: Replica, jobs: dict[str, Job]) -> None:
    running = [job.id for job in jobs.values() if job.status == "active"]
    await replica.model.note_progress(
        {running[0]: 0.99}, [StoredProgress(running[0], 1, {}), StoredProgress("job_unknown", 1, {})], {}
    )
    assert (await listed(replica, {"sort": "-progress", "status": "active"}, None))[0] == running[0]
