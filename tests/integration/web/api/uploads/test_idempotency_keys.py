"""The Idempotency-Key of a deleted job: rejected forever, and no bytes of the repeated request are kept."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site, serve
from tests.integration.web.spec.test_interface import stored

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

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
