"""An asset with more jobs than its row lists, over REST: refused in time, deleted whole, its files kept till then."""

import os
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.jobs import Job, Lease
from tables.assets import LISTED_JOBS
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site
from tests.unit.web.rows import NOW, a_job, a_step
from web.api.cache import downloads
from web.api.uploads import submissions

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module


def published(number: int, asset_id: str) -> Job:
    prefix = f"assets/{asset_id}/noop/1-L{number}"
    lease = Lease(id=f"L{number}", executor_id="e", accepted_at=NOW)
    step = a_step("noop", "completed", attempt=1, lease=lease, outputs={"file": f"{prefix}/a"}, finished_at=NOW + 1)
    return a_job(number, "completed", (step,), asset_id=asset_id, owner="anna", pipeline="noop")


async def asset_with(control: ControlStandIn, site: Site, asset_id: str, jobs: list[Job]) -> dict[str, Any]:
    """The asset as REST shows it, once all of its jobs are there."""
    await control.put_all(jobs)

    async def shown() -> Any:
        query = {"asset_id": asset_id, "limit": "500"}
        _, listed = await site.ask("GET", "/v1/jobs", "anna-edits", params=query)
        status, asset = await site.ask("GET", f"/v1/assets/{asset_id}", "anna-edits")
        newest = asset["data"]["jobs"][-1]["id"] if status == 200 else None  # from a changelog of its own
        return len(listed["data"]) == len(jobs) and newest == jobs[-1].id

    await eventually(shown, 30)
    status, body = await site.ask("GET", f"/v1/assets/{asset_id}", "anna-edits")
    assert status == 200
    return dict(body["data"])


async def test_an_asset_lists_its_newest_jobs_and_is_not_deleted_while_any_other_runs(
    site: Site, control: ControlStandIn
) -> None:
    running = a_job(0, "active", (a_step("noop", "active"),), asset_id="asset_busy", owner="anna")
    jobs = [running, *(published(n, "asset_busy") for n in range(1, LISTED_JOBS + 10))]
    asset = await asset_with(control, site, "asset_busy", jobs)
    assert [job["id"] for job in asset["jobs"]] == [job.id for job in jobs[-LISTED_JOBS:]]
    status, problem = await site.ask("DELETE", "/v1/assets/asset_busy", "anna-edits")
    assert (status, problem["code"]) == (409, "job-running")


async def test_files_of_a_job_that_the_row_lists_no_more_are_no_garbage(
    site: Site, control: ControlStandIn, make: Make
) -> None:
    jobs = [published(n, "asset_old") for n in range(1000, 1000 + LISTED_JOBS + 1)]
    jobs[0] = replace(jobs[0], steps=(replace(jobs[0].steps[0], finished_at=NOW),))
    asset = await asset_with(control, site, "asset_old", jobs)
    assert jobs[0].id not in [job["id"] for job in asset["jobs"]]
    folder = make().data_path / "store" / "assets" / "asset_old" / "noop"
    for name in ("1-L1000", "1-Lnobody"):
        path = folder / name / "a"
        path.parent.mkdir(parents=True)
        path.write_text("media")
        os.utime(path, (NOW - 1e6, NOW - 1e6))
    status, body = await site.ask("POST", "/v1/store/gc", json={})
    assert status == 200
    assert body["data"]["prefixes"] == ["assets/asset_old/noop/1-Lnobody"]
    assert [path.name for path in folder.iterdir()] == ["1-L1000"]


async def test_one_job_too_many_is_refused_before_it_is_accepted(
    site: Site, control: ControlStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (submissions, downloads):
        monkeypatch.setattr(module, "MOST_JOBS", 3)
    await asset_with(control, site, "asset_full", [published(n, "asset_full") for n in range(2001, 2004)])
    item = {"input": {"object": "uploads/asset_full/source"}, "asset_id": "asset_full", "pipeline": "noop"}
    status, problem = await site.ask("POST", "/v1/assets", "anna-edits", json=item)
    assert (status, problem["code"]) == (409, "too-many-jobs")
    _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=[item, item | {"asset_id": "asset_free"}])
    assert [one["status"] for one in body["data"]] == [409, 202]
    await control.delete("job_002001")

    async def accepted() -> bool:
        return (await site.ask("POST", "/v1/assets", "anna-edits", json=item))[0] == 202

    await eventually(accepted, 10)


async def test_a_download_that_failed_too_often_is_refused_too(
    site: Site, control: ControlStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://example.org/gone.mp4"
    _, body = await site.ask("POST", "/v1/cache-assets", "anna-edits", json={"url": url})
    item = body["data"]
    await control.change(item["job_id"], status="failed", finished_at=NOW)

    async def failed() -> bool:
        _, body = await site.ask("GET", f"/v1/cache-assets/{item['id']}", "anna-edits")
        return bool(body["data"]["status"] == "FAILED")

    await eventually(failed, 10)
    monkeypatch.setattr(downloads, "MOST_JOBS", 1)
    status, problem = await site.ask("POST", "/v1/cache-assets", "anna-edits", json={"url": url})
    assert (status, problem["code"]) == (409, "too-many-jobs")
    _, body = await site.ask("POST", "/v1/cache-assets", "anna-edits", json={"urls": [url]})
    assert body["data"][0]["error"]["code"] == "too-many-jobs"
