"""A 2xx always becomes a row that its submitter sees: a job, or a failed one that says why control refused it."""

import time

from schemas.base import ErrorRecord
from schemas.jobs import Input, Job
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from tables.rows import encode_row
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

ITEM = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"}


async def test_an_admin_s_job_of_an_owner_s_asset_is_the_owner_s(site: Site, control: ControlStandIn) -> None:
    _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=ITEM)
    asset_id = body["data"]["asset_id"]
    status, body = await site.ask("POST", "/v1/assets", json=ITEM | {"asset_id": asset_id})
    assert status == 202
    job, cursor = f"/v1/jobs/{body['data']['job_id']}", body["cursor"]
    assert (await site.ask("GET", f"{job}?after={cursor}", "anna-views"))[0] == 200
    assert (await site.ask("GET", f"{job}?after={cursor}", "bert-edits"))[0] == 404


async def test_an_admin_who_names_another_owner_for_an_asset_is_refused_before_anything_is_written(
    site: Site, control: ControlStandIn
) -> None:
    _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=ITEM)
    item = ITEM | {"asset_id": body["data"]["asset_id"], "owner": "bert"}
    status, problem = await site.ask("POST", "/v1/assets", json=item)
    assert (status, problem["code"]) == (409, "asset-of-another-owner")


async def test_an_admin_does_not_take_over_an_id_that_an_owner_chose(site: Site, control: ControlStandIn) -> None:
    _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=ITEM | {"asset_id": "gone"})
    own = body["data"]["asset_id"]
    item = ITEM | {"asset_id": own.replace("gone", "not-yet")}
    for owner in ({}, {"owner": "bert"}):
        status, problem = await site.ask("POST", "/v1/assets", json=item | owner)
        assert (status, problem["code"]) == (409, "asset-of-another-owner")
    assert (await site.ask("POST", "/v1/assets", json=item | {"owner": "anna"}))[0] == 202


async def test_a_refused_job_is_shown_to_its_submitter_and_cannot_be_retried(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    now, topics = time.time(), names(make())
    job = Job(
        id="job_refused_1",
        asset_id="asset_of_anna",
        pipeline="noop",
        status="failed",
        steps=(),
        input=Input(object="media/clip.mp4"),
        created_at=now,
        updated_at=now,
        finished_at=now,
        owner="bert",
        error=ErrorRecord(code="asset-of-another-owner", message="asset_of_anna does not belong to bert"),
        refused=True,
    )
    partition = partition_of(job.asset_id, make().partitions)
    await control._write(topics.jobs_changelog, partition, job.id, encode_row(job))

    async def is_shown() -> bool:
        return (await site.ask("GET", f"/v1/jobs/{job.id}", "bert-edits"))[0] == 200

    await eventually(is_shown, 30, 0.1)
    _, body = await site.ask("GET", f"/v1/jobs/{job.id}", "bert-edits")
    shown = body["data"]
    assert (shown["status"], shown["error"]["code"], shown["steps"]) == ("failed", "asset-of-another-owner", [])
    status, problem = await site.ask("POST", f"/v1/jobs/{job.id}/retry", "bert-edits")
    assert (status, problem["code"]) == (409, "not-retryable")
    for path in (f"/api/v1/studio/processing-jobs/{job.id}", "/v1/jobs?status=failed", "/v1/jobs/export?format=csv"):
        assert (await site.ask("GET", path, "bert-edits"))[0] == 200, path
    assert (await site.ask("GET", f"/v1/jobs/{job.id}", "anna-edits"))[0] == 404
