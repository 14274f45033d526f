"""Foreign media through the whole system: by its address, once, gone when it shall go or must make room.

And the step `store` into a bucket.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from processors.storage.bucket_store import BucketStore
from tests.bucket import BUCKET, environ
from tests.conftest import eventually
from tests.e2e.cache.conftest import LARGE_BYTES, ROOM_BYTES, Caching
from tests.e2e.system import Api, System, step_of
from tests.integration.processors.fetch.origin import MEDIA, MP4_HEAD, Origin, answer


async def cached(api: Api, asset_id: str, *statuses: str, within_s: float = 30.0) -> dict[str, Any]:
    """The cached asset once it has one of these states."""

    async def there() -> dict[str, Any] | None:
        async with api.session.get(f"/v1/cache-assets/{asset_id}") as reply:
            body = (await reply.json()).get("data")
            return body if body is not None and body["status"] in statuses else None

    found: dict[str, Any] = await eventually(there, within_s)
    return found


def slowly(seconds: float) -> Callable[..., Any]:
    async def play(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
        await asyncio.sleep(seconds)
        writer.write(answer())

    return play


async def resolve(api: Api, *ids: str, originals: list[str | None] | None = None) -> list[dict[str, Any]]:
    status, body = await api.post("/v1/cache-assets/resolve", {"ids": list(ids), "originals": originals or []})
    assert status == 200, body
    found: list[dict[str, Any]] = body["data"]
    return found


async def test_one_address_is_downloaded_once_and_served_from_here(origin: Origin, api: Api) -> None:
    origin.plays["/once.mp4"] = slowly(0.5)
    url = origin.url("/once.mp4")
    replies = await asyncio.gather(*(api.post("/v1/cache-assets", {"url": url}) for _ in range(20)))
    assert {status for status, _ in replies} == {202}
    [asset_id] = {body["data"]["id"] for _, body in replies}
    [pending] = await resolve(api, asset_id, originals=["https://example.org/own"])
    assert pending["url"] == "https://example.org/own"
    shown = await cached(api, asset_id, "CACHED")
    assert (shown["size_bytes"], shown["original"], shown["content_type"]) == (len(MEDIA), url, "video/mp4")
    [found] = await resolve(api, asset_id)
    assert found["status"] == "CACHED"
    async with api.session.get(found["url"], headers={"Authorization": ""}) as reply:
        assert (reply.status, await reply.read()) == (200, MEDIA)
    assert len(origin.asked) == 1
    _, again = await api.post("/v1/cache-assets", {"url": url})
    assert (again["data"]["id"], again["data"]["status"]) == (asset_id, "CACHED")


async def test_a_post_is_kept_part_by_part_and_what_failed_says_so(origin: Origin, api: Api, caching: System) -> None:
    jpeg = b"\xff\xd8\xff\xe0" + bytes(5000)
    origin.plays = {"/v.mp4": answer(), "/c.jpg": answer(jpeg), "/i.jpg": answer(jpeg + b"i")}
    post = {
        "video": origin.url("/v.mp4"),
        "cover": origin.url("/c.jpg"),
        "images": [{"url": origin.url("/i.jpg"), "width": 640, "height": 480}, {"url": "http://127.0.0.1:1/inside"}],
        "avatar": "ftp://example.org/a.jpg",
    }
    status, body = await api.post("/v1/cache-assets", {"post": post})
    assert status == 202
    told = body["data"]
    assert told["avatar"]["error"]["code"] == "invalid-input"
    assert (told["images"][0]["width"], told["music"]) == (640, None)
    for item, family in ((told["video"], "video"), (told["cover"], "image"), (told["images"][0], "image")):
        assert (await cached(api, item["id"], "CACHED"))["family"] == family
    failed = await cached(api, told["images"][1]["id"], "FAILED")
    assert failed["reason"] == "invalid-url"
    [unresolved] = await resolve(api, failed["id"])
    assert (unresolved["status"], unresolved["url"]) == ("FAILED", "http://127.0.0.1:1/inside")
    assert unresolved["reason"] == "invalid-url"
    key = caching.stored("legacy/old/a.mp4")
    key.parent.mkdir(parents=True)
    key.write_bytes(MEDIA)
    [legacy, unknown] = await resolve(api, "legacy/old/a.mp4", "legacy/none", originals=[None, "https://example.org/n"])
    async with api.session.get(legacy["url"], headers={"Authorization": ""}) as reply:
        assert await reply.read() == MEDIA
    assert (unknown["status"], unknown["url"]) == ("UNKNOWN", "https://example.org/n")
    stats = await api.get("/v1/cache-assets/stats")
    assert set(stats["assets"]) == {"PENDING", "DOWNLOADING", "CACHED", "FAILED"}
    assert set(stats["jobs"]) == {"waiting", "active", "completed", "failed", "cancelled"}
    assert stats["assets"]["FAILED"] >= 1
    assert stats["bytes"] >= len(MEDIA) + 2 * len(jpeg)
    status, body = await api.post("/v1/cache-assets/retry-failed")
    assert (status, body["data"]["count"] >= 1) == (202, True)


async def test_what_is_cleaned_up_is_gone_and_can_come_again(origin: Origin, api: Api, caching: System) -> None:
    origin.plays["/again.mp4"] = answer()
    url = origin.url("/again.mp4")
    _, body = await api.post("/v1/cache-assets", {"url": url})
    asset_id = body["data"]["id"]
    shown = await cached(api, asset_id, "CACHED")
    assert caching.stored(shown["object"]).read_bytes() == MEDIA
    status, body = await api.post("/v1/cache-assets/cleanup", {"older_than_days": 30})
    assert (status, body["data"]["count"]) == (202, 0)
    status, body = await api.post("/v1/cache-assets/cleanup", {"older_than_days": 0})
    assert (status, body["data"]["count"] >= 1) == (202, True)
    await eventually(lambda: not caching.stored(shown["object"]).exists(), 30)

    async def gone() -> bool:
        async with api.session.get(f"/v1/cache-assets/{asset_id}") as reply:
            return reply.status == 404

    await eventually(gone, 30)
    _, body = await api.post("/v1/cache-assets", {"url": url})
    assert body["data"]["id"] == asset_id
    assert caching.stored((await cached(api, asset_id, "CACHED"))["object"]).read_bytes() == MEDIA


async def test_an_address_goes_through_the_standard_pipeline(origin: Origin, api: Api, clip: Path) -> None:
    origin.plays["/clip.mp4"] = answer(clip.read_bytes())
    status, body = await api.post("/v1/assets", {"input": {"url": origin.url("/clip.mp4")}})
    assert status == 202
    job = await api.ended(body["data"]["job_id"])
    assert job["status"] == "completed", job
    assert job["steps"][0]["name"] == "download"
    asset = await api.get(f"/v1/assets/{job['asset_id']}")
    assert asset["status"] == "READY"
    assert asset["master_url"]


async def test_an_address_that_leads_inside_fails_its_job_at_once(api: Api) -> None:
    status, body = await api.post("/v1/assets", {"input": {"url": "http://169.254.169.254/latest/meta-data/"}})
    assert status == 202
    job = await api.ended(body["data"]["job_id"])
    assert (job["status"], job["error"]["code"], job["steps"][0]["attempt"]) == ("failed", "address-forbidden", 1)


async def test_the_command_line_adds_gets_and_counts(origin: Origin, caching: System, api: Api) -> None:
    origin.plays["/cli.mp4"] = answer()

    async def run(*words: str) -> Any:
        to = ("--json", "--url", caching.url, "--token", caching.token)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams.cli", "cache", *words, *to, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(output)

    added = await run("add", origin.url("/cli.mp4"))
    await cached(api, added["id"], "CACHED")
    assert (await run("get", added["id"]))["status"] == "CACHED"
    assert (await run("stats"))["assets"]["CACHED"] >= 1
    assert "count" in await run("retry-failed", "--yes")
    assert "count" in await run("cleanup", "--older-than-days", "1", "--yes")


async def test_the_longest_unused_makes_room(origin: Origin, api: Api, caching: System) -> None:
    keys: dict[str, str] = {}
    for name in ("first", "second", "third"):
        if name == "third":
            await asyncio.sleep(0.01)  # the clock of uses has moved
            [used] = await resolve(api, next(iter(keys)))
            assert used["status"] == "CACHED"
        origin.plays[f"/{name}.mp4"] = answer(MP4_HEAD + bytes(LARGE_BYTES) + name.encode())
        _, body = await api.post("/v1/cache-assets", {"url": origin.url(f"/{name}.mp4")})
        asset_id = body["data"]["id"]
        keys[asset_id] = (await cached(api, asset_id, "CACHED"))["object"]
    first, second, third = keys

    async def second_is_gone() -> bool:  # asked in a way that is no use
        async with api.session.get(f"/v1/cache-assets/{second}") as reply:
            return reply.status == 404

    await eventually(second_is_gone)
    await eventually(lambda: not caching.stored(keys[second]).exists())
    assert [one["status"] for one in await resolve(api, first, second, third)] == ["CACHED", "UNKNOWN", "CACHED"]
    assert caching.stored(keys[first]).exists() and caching.stored(keys[third]).exists()
    assert (await api.get("/v1/cache-assets/stats"))["bytes"] <= ROOM_BYTES


async def headers_of(store: BucketStore, key: str) -> Mapping[str, str]:
    """What whoever reads an object of the bucket is told of it."""
    async with aiohttp.ClientSession() as session, session.get(await store.presigned("GET", key, 60)) as answer:
        assert answer.status == 200, key
        return answer.headers.copy()


async def test_what_a_pipeline_made_is_pushed_to_a_bucket_and_removed_here(
    api: Api, around: Caching, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await api.ended((await api.upload(clip, pipeline="published"))["job_id"])
    assert job["status"] == "completed", job
    asset_id, outputs = job["asset_id"], step_of(job, "store")["outputs"]
    for name, value in environ(around.bucket).items():
        monkeypatch.setenv(name, value)
    published = BucketStore(f"s3://{BUCKET}/published")
    pushed = {stored.key.removeprefix(f"of/{asset_id}/"): stored for stored in await published.list(f"of/{asset_id}")}
    assert {"poster.jpg", "storyboard.vtt", "thumb-001.jpg"} <= pushed.keys()
    folder, poster = outputs["stored"]
    assert (folder["objects"], folder["size_bytes"]) == (len(pushed), sum(one.size_bytes for one in pushed.values()))
    assert poster == {
        "step": "thumbnails",
        "path": f"posters/{asset_id}.jpg",
        "objects": 1,
        "size_bytes": pushed["poster.jpg"].size_bytes,
    }
    headers = await headers_of(published, f"posters/{asset_id}.jpg")
    assert headers["Content-Type"] == "image/pjpeg"
    assert (headers["x-amz-meta-kind"], headers["x-amz-meta-maker"]) == ("poster", "kinolog")
    assert (await headers_of(published, f"of/{asset_id}/storyboard.vtt"))["Content-Type"].startswith("text/vtt")
    made = step_of(job, "thumbnails")["outputs"]["poster"]
    assert not around.system.stored(made).parent.exists()
    async with api.session.get(f"/media/{made.removeprefix('assets/')}") as reply:
        assert reply.status == 404
