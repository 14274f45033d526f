"""Retention of ended jobs: by number and age, from the settings or a pipeline's file."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.jobs import Job
from streams.settings.media import Retention
from tables.pipelines import RetentionRule, load_retention
from tests.unit.web.replica import Replica, replica_below
from tests.unit.web.rows import NOW, a_job
from web.background.retention import rule
from web.readmodel import queries
from web.readmodel.queries import Rule

SETTINGS = Retention(jobs=100, age_s=1000.0)


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with replica_below(tmp_path) as found:
        await found.write(*(a_job(n, "completed") for n in range(10)), *(a_job(n, "active") for n in range(20, 25)))
        await found.write(a_job(30, "failed"), a_job(31, "completed", pipeline="noop"))
        yield found


async def gone(replica: Replica, limit: int = 100, now: float = NOW, aged: int = 100, **kept: Any) -> list[str]:
    rule = Rule("standard", "completed", **{"jobs": 0, "age_s": 0.0} | kept)
    return sorted(job_id for job_id, _ in await replica.model.read(queries.expired_jobs, rule, now, aged, limit))


async def test_the_oldest_of_too_many_go_and_none_of_another_group(replica: Replica) -> None:
    assert await gone(replica, jobs=8) == ["job_000000", "job_000001"]
    assert await gone(replica, jobs=3, limit=4) == [f"job_{n:06}" for n in range(4)]
    assert await gone(replica, jobs=10) == []


async def test_those_that_are_too_old_go(replica: Replica) -> None:
    assert await gone(replica, age_s=10.0, now=NOW + 12) == ["job_000000", "job_000001"]
    assert await gone(replica, jobs=7, age_s=10.0, now=NOW + 12) == ["job_000000", "job_000001", "job_000002"]


async def test_of_those_that_are_too_old_no_more_go_than_may_at_once(replica: Replica) -> None:
    assert await gone(replica, age_s=10.0, now=NOW + 12, aged=1) == ["job_000000"]
    assert await gone(replica, age_s=10.0, now=NOW + 12, aged=0) == []
    assert await gone(replica, jobs=7, age_s=10.0, now=NOW + 12, aged=0) == ["job_000000", "job_000001", "job_000002"]


async def test_without_a_limit_nothing_goes(replica: Replica) -> None:
    assert await gone(replica, now=time.time() + 1e9) == []


async def test_only_groups_of_ended_jobs_are_looked_at(replica: Replica) -> None:
    groups = await replica.model.read(queries.ended_groups)
    assert set(groups) == {("standard", "completed"), ("standard", "failed"), ("noop", "completed")}


async def test_the_jobs_of_a_bulk_command_come_in_pieces_each_once(replica: Replica) -> None:
    from web.api.jobs.listing import JOBS
    from web.readmodel.list_query import parse

    listing = parse({"status": "completed"}, JOBS, None)
    seen: list[Job] = []
    after = (-1.0, "")
    while piece := await replica.model.read(queries.matching_jobs, listing, after, 4):
        seen += piece
        after = (piece[-1].created_at, piece[-1].id)
    assert [job.id for job in seen] == [f"job_{n:06}" for n in [*range(10), 31]]


def test_a_pipelines_own_file_counts_before_the_settings(tmp_path: Path) -> None:
    text = "name: standard\nsteps: [{name: probe}]\nkeep: {completed: {jobs: 5}, failed: {age_s: 0}}\n"
    (tmp_path / "standard.yaml").write_text(text)
    rules = load_retention(tmp_path)
    assert rules == {"standard": {"completed": RetentionRule(jobs=5), "failed": RetentionRule(age_s=0.0)}}
    assert rule(SETTINGS, rules, "standard", "completed") == Rule("standard", "completed", 5, 1000.0)
    assert rule(SETTINGS, rules, "standard", "failed") == Rule("standard", "failed", 100, 0.0)
    assert rule(SETTINGS, rules, "noop", "failed") == Rule("noop", "failed", 100, 1000.0)
