"""A replica with a wrong clock: nothing is lost, and what is old by the log's time is still deleted."""

import os
import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from schemas.jobs import Job
from streams.settings.media import Retention
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import Site, serve, stored
from tests.unit.web.rows import a_job, an_error
from web.api.uploads.tus_completion import tus_folder
from web.background.store_cleanup import StoreCleanup
from web.background.tasks import job_retention
from web.background.tus_sweep import TusSweep

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module

DAYS_S = 86_400.0
Wrong = Callable[[float], None]


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Wrong:
    """Sets this process's clock wrong by so many seconds; the broker's is right."""
    right = time.time

    def set_wrong(by_s: float) -> None:
        monkeypatch.setattr(time, "time", lambda: right() + by_s)
        monkeypatch.setattr(time, "time_ns", lambda: int((right() + by_s) * 1e9))

    return set_wrong


def ended(number: int, status: str, ago_s: float) -> Job:
    """A job that ended `ago_s` seconds ago, by the log's time."""
    at = time.time() - ago_s
    error = {"error": an_error()} if status == "failed" else {}
    return replace(a_job(number, status, (), **error), created_at=at, updated_at=at, finished_at=at)


async def there(site: Site, jobs: list[Job]) -> set[str]:
    """Ids of those of the jobs that still exist."""
    _, body = await site.ask("GET", "/v1/jobs", params={"limit": "500"})
    return {job["id"] for job in body["data"]} & {job.id for job in jobs}


async def known(site: Site, control: ControlStandIn, jobs: list[Job]) -> None:
    await control.put_all(jobs)

    async def all_there() -> bool:
        return len(await there(site, jobs)) == len(jobs)

    await eventually(all_there, 20)


async def forget(site: Site, retention: Retention | None = None) -> None:
    """Run one round of the replica's retention."""
    await site.parts.clock.within(10)
    found = job_retention(site.parts)
    if retention is not None:
        found._settings = retention
    await found.round()


async def test_a_clock_32_days_ahead_deletes_no_ended_job_and_no_source(
    make: Make, control: ControlStandIn, wrong: Wrong
) -> None:
    jobs = [ended(1, "completed", 60.0), ended(2, "failed", 60.0)]
    wrong(32 * DAYS_S)
    async with serve(make()) as site:
        await known(site, control, jobs)
        await forget(site)
        assert await there(site, jobs) == {job.id for job in jobs}


async def test_a_clock_that_is_behind_keeps_no_job_for_ever(make: Make, control: ControlStandIn, wrong: Wrong) -> None:
    jobs = [ended(11, "completed", 31 * DAYS_S), ended(12, "completed", 29 * DAYS_S)]
    wrong(-32 * DAYS_S)
    async with serve(make()) as site:
        await known(site, control, jobs)
        await forget(site)
        assert await there(site, jobs) == {jobs[1].id}


async def test_no_more_than_so_many_go_for_their_age_in_one_round(make: Make, control: ControlStandIn) -> None:
    async with serve(make()) as site:
        jobs = [ended(20 + n, "completed", 31 * DAYS_S) for n in range(7)]
        await known(site, control, jobs)
        await forget(site, Retention(max_aged=3))
        assert len(await there(site, jobs)) == 4
        await forget(site, Retention(max_aged=3))
        assert len(await there(site, jobs)) == 1


async def test_a_clock_that_jumps_ends_no_resumable_upload(make: Make, control: ControlStandIn, wrong: Wrong) -> None:
    async with serve(make()) as site:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "10"}
        assert await site.parts.clock.within(10)
        status, _ = await site.ask("POST", "/v1/uploads/tus", "anna-edits", headers=headers)
        assert status == 201
        [home] = tus_folder(site.parts)._folder.iterdir()
        wrong(32 * DAYS_S)
        await TusSweep(site.parts).sweep()
        assert home.exists()
        wrong(-32 * DAYS_S)
        patch = headers | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        path = f"/v1/uploads/tus/{home.name}"
        assert (await site.ask("PATCH", path, "anna-edits", headers=patch, data=b"hello"))[0] == 204
        wrong(0)
        await TusSweep(site.parts).sweep()
        assert home.exists()
        old = time.time() - 2 * DAYS_S
        os.utime(home / "data", (old, old))
        wrong(-32 * DAYS_S)  # and one that is behind keeps none for ever
        await TusSweep(site.parts).sweep()
        assert not home.exists()


async def test_a_clock_that_jumps_ahead_removes_nothing_that_is_on_its_way_in(
    make: Make, control: ControlStandIn, wrong: Wrong
) -> None:
    async with serve(make()) as site:
        assert await site.parts.clock.within(10)
        store = make().data_path / "store"
        for name in (".staging/1", "uploads/asset_new/source", "assets/asset_new/noop/1-L/a"):
            path = store / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("media")
        entry = await site.parts.journal.begin("asset_new", "uploads/asset_new/source")
        site.parts.journal.leave(await site.parts.journal.submitting(entry))
        before = stored(make())
        staged = list((store / ".staging").iterdir())
        wrong(32 * DAYS_S)
        await StoreCleanup(site.parts).clean_up()
        assert (await site.ask("POST", "/v1/store/gc", json={}))[0] == 200
        assert stored(make()) == before and list((store / ".staging").iterdir()) == staged


async def test_deleting_by_age_goes_by_the_logs_time(make: Make, control: ControlStandIn, wrong: Wrong) -> None:
    jobs = [replace(ended(31 + n, "completed", ago_s), pipeline="aged") for n, ago_s in enumerate((3 * DAYS_S, 60.0))]
    wrong(32 * DAYS_S)
    async with serve(make()) as site:
        await known(site, control, jobs)
        assert await site.parts.clock.within(10)
        wanted = {"status": "completed", "older_than_s": 2 * DAYS_S, "pipeline": "aged"}
        _, body = await site.ask("POST", "/v1/jobs/clear", json=wanted)
        assert body["data"]["count"] == 1
        assert await there(site, jobs) == {jobs[1].id}


@pytest.mark.parametrize("by_s, is_told", [(32 * DAYS_S, True), (-32 * DAYS_S, True), (0.5, False)])
async def test_a_clock_that_differs_from_the_brokers_is_told(
    make: Make, wrong: Wrong, caplog: pytest.LogCaptureFixture, by_s: float, is_told: bool
) -> None:
    wrong(by_s)
    async with serve(make()) as site:
        assert await site.parts.clock.within(10)
        _, text = await site.ask("GET", "/metrics")
        [line] = [line for line in text.decode().splitlines() if line.startswith("kinolog_clock_skew_seconds ")]
        assert abs(float(line.split()[1]) - by_s) < 5
        told = [vars(record)["skew_s"] for record in caplog.records if "clock" in record.getMessage()]
        assert bool(told) == is_told and all(abs(skew_s - by_s) < 5 for skew_s in told)
