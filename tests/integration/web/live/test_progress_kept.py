"""Progress that a user has seen never falls within a run, whoever is killed and started again."""

import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.jobs import Job, Lease, Step
from schemas.step_events import StepProgressed
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import Site, serve
from tests.unit.web.rows import a_job, a_step

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module


def running(job: Job, lease_id: str, attempt: int, **step: Any) -> Job:
    """The job with its second step owned by that lease."""
    lease = Lease(id=lease_id, executor_id="e", accepted_at=time.time())
    owned: Step = replace(job.steps[1], status="active", attempt=attempt, lease=lease, **step)
    return replace(job, status="active", steps=(job.steps[0], owned), updated_at=time.time())


def said(job: Job, lease_id: str, attempt: int, progress: float) -> StepProgressed:
    about = {"job_id": job.id, "asset_id": job.asset_id, "run": job.run, "step": "transcode"}
    return StepProgressed(**about, attempt=attempt, lease_id=lease_id, progress=progress)  # type: ignore[arg-type]


async def shown(site: Site, job: Job) -> float:
    status, body = await site.ask("GET", f"/v1/jobs/{job.id}")
    assert status == 200, body
    return float(body["data"]["progress"])


async def seen(site: Site, job: Job, progress: float) -> None:
    async def is_shown() -> bool:
        status, body = await site.ask("GET", f"/v1/jobs/{job.id}")
        return status == 200 and body["data"]["progress"] == progress

    await eventually(is_shown, 10)


async def begun(control: ControlStandIn, number: int) -> Job:
    steps = (a_step("probe", "completed", weight=1), a_step("transcode", weight=9))
    job = running(a_job(number, "active", steps), "L1", 1)
    await control.put(job)
    return job


async def test_the_progress_of_an_attempt_that_was_lost_stays_when_web_is_killed(
    make: Make, control: ControlStandIn
) -> None:
    """It was seen to fall from 35 to 29: the row has the last heartbeat's, and who starts again ignored the rest."""
    async with serve(make()) as site:
        job = await begun(control, 1)
        await seen(site, job, 10.0)
        await control.say(said(job, "L1", 1, 0.28))
        await seen(site, job, 35.2)
        second = running(job, "L2", 2, progress=0.21, losses=1)  # what its last heartbeat had said
        await control.put(second)
        await control.say(said(job, "L2", 2, 0.02))
        await eventually(lambda: site.parts.model.read(_lease_of, job.id, "L2"), 10)
        assert await shown(site, job) == 35.2
    async with serve(make(), ready=False) as again:
        assert await shown(again, job) == 35.2
        await control.say(said(job, "L2", 2, 0.31))
        await seen(again, job, 37.9)
    async with serve(make(KINOLOG_WEB__REPLICA="web-new")) as other:
        assert await shown(other, job) == 37.9


def _lease_of(db: Any, job_id: str, lease_id: str) -> bool:
    from web.readmodel import queries

    job = queries.job(db, job_id)
    step = job.steps[1] if job is not None else None
    return step is not None and step.lease is not None and step.lease.id == lease_id


async def test_what_failed_still_shows_how_far_it_came_when_web_is_killed(make: Make, control: ControlStandIn) -> None:
    async with serve(make()) as site:
        job = await begun(control, 2)
        await seen(site, job, 10.0)
        await control.say(said(job, "L1", 1, 0.5))
        await seen(site, job, 55.0)
        ended = replace(job.steps[1], status="failed", progress=0.4)
        await control.put(replace(job, status="failed", steps=(job.steps[0], ended), finished_at=time.time()))

        async def has_failed() -> bool:
            _, body = await site.ask("GET", f"/v1/jobs/{job.id}")
            return bool(body["data"]["status"] == "failed")

        await eventually(has_failed, 10)
        assert await shown(site, job) == 55.0
    async with serve(make()) as again:
        assert await shown(again, job) == 55.0


@pytest.mark.parametrize("hours", [-768, 768])
async def test_a_clock_that_is_wrong_forgets_no_progress(
    make: Make, control: ControlStandIn, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    right = time.time
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(serve(make()))
        job = await begun(control, 1000 + hours)
        await seen(site, job, 10.0)
        await control.say(said(job, "L1", 1, 0.6))
        await seen(site, job, 64.0)
    monkeypatch.setattr(time, "time", lambda: right() + hours * 3600)
    async with serve(make()) as again:
        assert await shown(again, job) == 64.0
