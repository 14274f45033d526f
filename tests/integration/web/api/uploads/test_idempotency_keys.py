"""The Idempotency-Key of a deleted or refused job: rejected forever, and no bytes of the request are kept."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from schemas.base import ErrorRecord
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site, serve, stored

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

TAKEN = ErrorRecord(code="asset-of-another-owner", message="asset_1 does not belong to anna")
ITEM = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"}


async def deleted(site: Site, job: dict[str, Any]) -> None:
    """End the job and delete it."""
    path = f"/v1/jobs/{job['job_id']}"
    _, body = await site.ask("POST", f"{path}/cancel", "anna-edits")
    await site.ask("GET", f"{path}?after={body['cursor']}", "anna-edits")
    assert (await site.ask("DELETE", path, "anna-edits"))[0] == 202


async def test_a_submission_with_the_key_of_a_deleted_job_is_refused_by_every_replica(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "asset-once"}
    status, body = await site.ask("POST", "/v1/assets", "anna-edits", json=ITEM, headers=key)
    assert status == 202
    await deleted(site, body["data"])
    async with serve(make(KINOLOG_WEB__REPLICA="web-keys")) as other:
        for replica in (site, other):
            status, problem = await replica.ask("POST", "/v1/assets", "anna-edits", json=ITEM, headers=key)
            assert (status, problem["code"]) == (410, "key-of-deleted-job")
    assert (await site.ask("POST", "/v1/assets", "bert-edits", json=ITEM, headers=key))[0] == 202  # a key of his own


async def test_of_a_list_only_the_items_whose_jobs_were_deleted_are_refused(
    site: Site, control: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "list-once"}
    _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=[ITEM, ITEM], headers=key)
    await deleted(site, body["data"][1])
    _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=[ITEM, ITEM], headers=key)
    assert [one["status"] for one in body["data"]] == [202, 410]
    assert body["data"][1]["error"]["code"] == "key-of-deleted-job"


async def test_an_upload_with_the_key_of_a_deleted_job_is_refused_before_its_bytes(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "upload-once"}
    status, body = await site.ask("POST", "/v1/uploads", "anna-edits", data=b"media", headers=key)
    assert status == 201
    await deleted(site, body["data"])
    before = stored(make())
    status, problem = await site.ask("POST", "/v1/uploads", "anna-edits", data=b"media", headers=key)
    assert (status, problem["code"]) == (410, "key-of-deleted-job")
    assert stored(make()) == before


async def test_an_upload_whose_job_is_deleted_while_its_bytes_come_leaves_none(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "upload-twice"}
    status, body = await site.ask("POST", "/v1/uploads", "anna-edits", data=b"media", headers=key)
    assert status == 201
    before, go_on = stored(make()), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"me"
        await go_on.wait()
        yield b"dia"

    again = asyncio.create_task(site.ask("POST", "/v1/uploads", "anna-edits", data=slowly(), headers=key))
    await eventually(lambda: list((make().data_path / "store" / ".staging").iterdir()), 10)
    await deleted(site, body["data"])
    go_on.set()
    status, problem = await again
    assert (status, problem["code"]) == (410, "key-of-deleted-job")
    assert stored(make()) == before
    assert list((make().data_path / "web" / "web-1.uploads").iterdir()) == []


async def test_a_resumed_upload_whose_job_was_deleted_is_not_put_into_the_store_again(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    from web.api.uploads import tus_completion
    from web.upload_staging.tus_storage import TusUpload

    item = dict((await site.ask("POST", "/v1/assets", "anna-edits", json=ITEM))[1]["data"])
    await eventually(lambda: item["job_id"] in control.jobs)
    await deleted(site, item)
    # The replica was killed after it had submitted the job and before it removed the folder.
    upload = TusUpload(id="tus_1", size_bytes=5, asset_id=item["asset_id"], job_id=item["job_id"], owner="anna")
    folder = tus_completion.tus_folder(site.parts)
    folder.create(upload)
    folder.append(upload.id, b"media")
    before = stored(make())
    await tus_completion.complete(site.parts, upload)
    assert stored(make()) == before and folder.find(upload.id) is None


@pytest.fixture
def refusing(control: ControlStandIn) -> Iterator[ControlStandIn]:
    """Control knows of another owner's job that has won the race for the asset; web does not."""
    control.refusal = TAKEN
    yield control
    control.refusal = None


async def test_a_submission_that_control_refuses_is_refused_with_its_key_by_every_replica(
    site: Site, make: Make, refusing: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "contested"}
    async with serve(make(KINOLOG_WEB__REPLICA="web-refused")) as other:
        for replica in (site, other, site):
            status, problem = await replica.ask("POST", "/v1/assets", "anna-edits", json=ITEM, headers=key)
            assert (status, problem["code"]) == (409, "submission-refused")
            assert problem["detail"] == f"{TAKEN.code}: {TAKEN.message}"
    refusing.refusal = None  # the same key later: the decision stands, whatever would be decided now
    status, problem = await site.ask("POST", "/v1/assets", "anna-edits", json=ITEM, headers=key)
    assert (status, problem["code"]) == (409, "submission-refused")


async def test_of_a_list_each_refused_item_says_why_and_its_job_can_be_deleted(
    site: Site, refusing: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "contested-list"}
    status, body = await site.ask("POST", "/v1/assets", "anna-edits", json=[ITEM, ITEM], headers=key)
    assert status == 202
    assert [one["error"]["code"] for one in body["data"]] == ["submission-refused"] * 2
    _, listed = await site.ask("GET", f"/v1/jobs?status=failed&after={body['cursor']}", "anna-edits")
    job = next(job for job in listed["data"] if job["error"]["code"] == TAKEN.code)
    assert (await site.ask("POST", f"/v1/jobs/{job['id']}/retry", "anna-edits"))[1]["code"] == "not-retryable"
    status, body = await site.ask("DELETE", f"/v1/jobs/{job['id']}", "anna-edits")
    assert status == 202
    assert (await site.ask("GET", f"/v1/jobs/{job['id']}?after={body['cursor']}", "anna-edits"))[0] == 404


async def test_the_key_of_a_refused_submission_with_another_body_is_a_used_key(
    site: Site, refusing: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "contested-twice"}
    await site.ask("POST", "/v1/assets", "anna-edits", json=ITEM, headers=key)
    other = {**ITEM, "filename": "other.mp4"}
    status, problem = await site.ask("POST", "/v1/assets", "anna-edits", json=other, headers=key)
    assert (status, problem["code"]) == (409, "idempotency-key-reused")


async def test_nothing_is_kept_of_an_upload_that_control_refuses(
    site: Site, make: Make, refusing: ControlStandIn
) -> None:
    before = stored(make())
    for _ in range(2):
        key = {"Idempotency-Key": "contested-upload"}
        status, problem = await site.ask("POST", "/v1/uploads", "anna-edits", data=b"media", headers=key)
        assert (status, problem["code"]) == (409, "submission-refused")
    assert stored(make()) == before
    assert list((make().data_path / "web" / "web-1.uploads").iterdir()) == []


async def test_of_many_requests_at_once_with_one_key_and_two_bodies_one_body_wins_on_all_replicas(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "at-once"}
    bodies = [ITEM, {**ITEM, "filename": "other.mp4"}]
    async with serve(make(KINOLOG_WEB__REPLICA="web-at-once")) as other:
        asked = [(replica, body) for _ in range(5) for replica in (site, other) for body in bodies]
        answers = await asyncio.gather(
            *(replica.ask("POST", "/v1/assets", "anna-edits", json=body, headers=key) for replica, body in asked)
        )
    accepted = {body.get("filename") for (_, body), (status, _) in zip(asked, answers, strict=True) if status == 202}
    assert len(accepted) == 1
    codes = {answer.get("code") for status, answer in answers if status != 202}
    assert codes == {"idempotency-key-reused"}
    assert len({answer["data"]["job_id"] for status, answer in answers if status == 202}) == 1


async def test_one_key_for_a_submission_and_an_upload_never_gives_the_others_job(
    site: Site, control: ControlStandIn
) -> None:
    key = {"Idempotency-Key": "on-two-routes"}
    assert (await site.ask("POST", "/v1/assets", "anna-edits", json=ITEM, headers=key))[0] == 202
    status, problem = await site.ask("POST", "/v1/uploads", "anna-edits", data=b"media", headers=key)
    assert (status, problem["code"]) == (409, "idempotency-key-reused")
