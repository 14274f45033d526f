"""Uploads straight into the bucket: the limits of an upload hold for them, too."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.bucket import BUCKET, environ, make_bucket, moto
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import Site, serve

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module

MOST = 1_000
GIB = 1024**3


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
async def on_a_bucket(
    server: str, make: Make, control: ControlStandIn, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    await make_bucket(server)
    for name, value in environ(server).items():
        monkeypatch.setenv(name, value)
    settings = make(KINOLOG_STORE__URL=f"s3://{BUCKET}", KINOLOG_WEB__MAX_UPLOAD_BYTES=str(MOST))
    async with serve(settings) as site:
        yield site


async def presigned(site: Site, **body: Any) -> tuple[int, Any]:
    return await site.ask("POST", "/v1/uploads/presign", "anna-edits", json={"filename": "a.mp4", **body})


async def uploaded(site: Site, size_bytes: int) -> str:
    """The object of a direct upload, whatever its size."""
    status, body = await presigned(site)
    assert (status, body["data"]["max_bytes"]) == (201, MOST)
    async with ClientSession() as session, session.put(body["data"]["url"], data=b"x" * size_bytes) as answer:
        assert answer.status == 200
    object_key: str = body["data"]["object"]
    return object_key


async def submitted(site: Site, body: Any, token: str = "anna-edits") -> tuple[int, Any]:
    return await site.ask("POST", "/v1/assets", token, json=body)


def item(object_key: str) -> dict[str, Any]:
    return {"input": {"object": object_key}, "pipeline": "noop"}


async def test_what_is_too_large_is_refused_before_its_bytes_are_sent(on_a_bucket: Site, make: Make) -> None:
    status, problem = await presigned(on_a_bucket, size_bytes=MOST + 1)
    assert (status, problem["code"]) == (413, "upload-too-large")
    assert (await presigned(on_a_bucket, size_bytes=MOST))[0] == 201
    async with serve(make(KINOLOG_STORE__URL=f"s3://{BUCKET}", KINOLOG_WEB__REPLICA="web-2")) as site:  # 20 GiB
        assert (await presigned(site))[1]["data"]["max_bytes"] == 5 * GIB
        status, problem = await presigned(site, size_bytes=5 * GIB + 1)  # more than a bucket takes by one PUT
        assert status == 413
        assert "/v1/uploads/tus" in problem["detail"]


@pytest.mark.parametrize("token", ["anna-edits", "admin-token"])
async def test_a_direct_upload_above_the_limit_starts_no_job(on_a_bucket: Site, token: str) -> None:
    fits, exceeds = await uploaded(on_a_bucket, MOST), await uploaded(on_a_bucket, MOST + 1)
    assert (await submitted(on_a_bucket, item(fits), token))[0] == 202
    status, problem = await submitted(on_a_bucket, item(exceeds), token)
    assert (status, problem["code"]) == (413, "upload-too-large")
    _, body = await submitted(on_a_bucket, [item(exceeds if n % 20 == 7 else fits) for n in range(40)], token)
    assert [one["status"] for one in body["data"]] == [413 if n % 20 == 7 else 202 for n in range(40)]
    body = {"attachment_id": "a-large", "object": exceeds}
    assert (await on_a_bucket.ask("POST", "/api/video-processing/upload", token, json=body))[0] == 413


async def test_a_repeat_after_the_source_was_removed_is_answered_as_before(on_a_bucket: Site) -> None:
    key = await uploaded(on_a_bucket, 10)
    headers = {"Idempotency-Key": "once"}
    ask = {"json": item(key), "headers": headers}
    first = await on_a_bucket.ask("POST", "/v1/assets", "anna-edits", **ask)
    assert first[0] == 202
    await on_a_bucket.parts.store.delete_prefix(key)
    again = await on_a_bucket.ask("POST", "/v1/assets", "anna-edits", **ask)
    assert (again[0], again[1]["data"]) == (202, first[1]["data"])
