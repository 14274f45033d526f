"""REST and live over a real log: reads after writes, visibility, and no remains of broken requests."""

import asyncio
import io
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from aiohttp.client_proto import ResponseHandler
from msgspec.structs import replace

from schemas.jobs import Lease
from schemas.step_events import StepProgressed
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import ADMIN, Site, serve, stored
from tests.unit.web.rows import a_job, an_error

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module


async def submitted(site: Site, token: str = "anna-edits", **fields: str) -> dict[str, Any]:
    item = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"} | fields
    status, body = await site.ask("POST", "/v1/assets", token, json=item)
    assert status == 202, body
    return {**body["data"], "cursor": body["cursor"]}


async def frame(live: ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next frame of that type."""
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = json.loads(await live.receive_str())
            if found["type"] == kind:
                return found


async def states_until(live: ClientWebSocketResponse, status: str, job_id: str) -> list[str]:
    """Statuses of a job that a resumed client receives, up to `status`."""
    seen: list[str] = []
    async with asyncio.timeout(30):
        while status not in seen:
            found = json.loads(await live.receive_str())
            jobs = found["jobs"] if found["type"] == "snapshot" else [found["job"]] if found["type"] == "job" else []
            seen += [job["status"] for job in jobs if job["id"] == job_id]
    return seen


async def test_an_upload_is_stored_and_its_job_is_there_for_whoever_has_the_cursor(site: Site) -> None:
    path = "/v1/uploads?filename=Clip.mp4&pipeline=noop&passthrough=order+66"
    status, body = await site.ask("POST", path, "anna-edits", data=b"some bytes")
    assert status == 201
    asset_id, job_id = body["data"]["asset_id"], body["data"]["job_id"]
    _, job = await site.ask("GET", f"/v1/jobs/{job_id}?after={body['cursor']}", "anna-edits")
    assert (job["data"]["filename"], job["data"]["passthrough"], job["data"]["asset_id"]) == (
        "Clip.mp4",
        "order 66",
        asset_id,
    )
    _, asset = await site.ask("GET", f"/v1/assets/{asset_id}?after={body['cursor']}", "anna-edits")
    assert asset["data"]["status"] == "UPLOADED" and asset["data"]["jobs"][0]["id"] == job_id
    assert (site.parts.settings.data_path / "store" / "uploads" / asset_id / "source").read_bytes() == b"some bytes"
    _, jobs = await site.ask("GET", f"/v1/jobs?asset_id={asset_id}&after={body['cursor']}", "anna-edits")
    assert [found["id"] for found in jobs["data"]] == [job_id]


async def test_ones_own_job_is_found_at_once_even_without_a_cursor(site: Site) -> None:
    for _ in range(5):
        job = await submitted(site)
        assert (await site.ask("GET", f"/v1/jobs/{job['job_id']}", "anna-edits"))[0] == 200


async def test_a_form_is_an_upload_too_and_an_empty_file_is_the_probes_business(site: Site) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="pipeline"\r\n\r\nnoop\r\n'
    form += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nform bytes\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    status, body = await site.ask("POST", "/v1/uploads", data=form, headers=kind)
    assert status == 201
    _, job = await site.ask("GET", f"/v1/jobs/{body['data']['job_id']}?after={body['cursor']}")
    assert (job["data"]["filename"], job["data"]["pipeline"]) == ("a.mp4", "noop")
    assert (await site.ask("POST", "/v1/uploads?pipeline=noop", data=b""))[0] == 201
    status, problem = await site.ask("POST", "/v1/uploads", data=b"--x--\r\n", headers=kind)
    assert (status, problem["code"]) == (422, "missing-file")


async def test_an_upload_announced_beyond_the_limit_is_refused_unread(make: Make) -> None:
    settings = make(KINOLOG_WEB__MAX_UPLOAD_BYTES="1000")
    async with serve(settings) as site:
        with socket.create_connection((site.server.host, site.server.port)) as plain:
            head = f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\nExpect: 100-continue\r\n"
            answer = await asyncio.to_thread(_exchange, plain, f"{head}Content-Length: 1001\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 413") and b"upload-too-large" in answer
        status, problem = await site.ask("POST", "/v1/uploads?pipeline=noop", data=_endless(2000))
        assert (status, problem["code"]) == (413, "upload-too-large")
        await eventually(lambda: stored(settings) == [])
        assert not list((settings.data_path / "web" / "web-1.uploads").iterdir())


def _exchange(plain: socket.socket, request: bytes) -> bytes:
    plain.sendall(request)
    plain.settimeout(20)
    return plain.recv(65536)


async def _endless(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x"


async def test_an_upload_that_stalls_or_breaks_off_leaves_nothing(make: Make) -> None:
    settings = make(KINOLOG_WEB__UPLOAD_STALL_S="0.5")
    async with serve(settings) as site:
        address = (site.server.host, site.server.port)
        head = (
            f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\nContent-Length: 5000000\r\n\r\n"
        )
        with socket.create_connection(address) as stalled:
            answer = await asyncio.to_thread(_exchange, stalled, head.encode() + b"x" * 100_000)
        assert answer.startswith(b"HTTP/1.1 408") and b"upload-stalled" in answer
        with socket.create_connection(address) as broken:
            broken.sendall(head.encode() + b"x" * 100_000)
            await eventually(lambda: list((settings.data_path / "web" / "web-1.uploads").iterdir()))
        await eventually(lambda: not list((settings.data_path / "web" / "web-1.uploads").iterdir()))
        assert stored(settings) == []
        assert not list((settings.data_path / "store" / ".staging").iterdir())


async def test_what_a_killed_process_left_is_removed_and_what_a_job_needs_is_kept(
    make: Make, control: ControlStandIn
) -> None:
    settings = make()
    async with serve(settings) as site:
        _, body = await site.ask("POST", "/v1/uploads?pipeline=noop", data=b"needed")
        await site.ask("GET", f"/v1/assets/{body['data']['asset_id']}?after={body['cursor']}")
    kept = f"uploads/{body['data']['asset_id']}/source"
    left = settings.data_path / "store" / "uploads" / "asset_left" / "source"
    left.parent.mkdir()
    left.write_bytes(b"nobody will ask for this")
    journal = settings.data_path / "web" / "web-1.uploads"
    (journal / "asset_left.source.receiving").write_text("asset_left\nuploads/asset_left/source\n")
    (journal / "needed.source.submitting").write_text(f"{body['data']['asset_id']}\n{kept}\n")
    (journal / "unknown.source.submitting").write_text(f"asset_unknown\n{kept}\n")
    async with serve(settings):
        await eventually(lambda: [path.name for path in journal.iterdir()] == ["unknown.source.submitting"])
    assert [name for name in stored(settings) if name.endswith("source")] == [kept]


async def test_a_repeat_with_its_idempotency_key_is_the_same_job_and_another_body_a_conflict(site: Site) -> None:
    key = {"Idempotency-Key": f"key-{time.time_ns()}"}
    path = "/v1/uploads?pipeline=noop&filename=a.mp4"
    answers = await asyncio.gather(*(site.ask("POST", path, "anna-edits", data=b"same", headers=key) for _ in range(3)))
    assert [status for status, _ in answers] == [201] * 3
    assert len({body["data"]["job_id"] for _, body in answers}) == 1
    status, problem = await site.ask("POST", path, "anna-edits", data=b"other", headers=key)
    assert (status, problem["code"]) == (409, "idempotency-key-reused")
    asset_id = answers[0][1]["data"]["asset_id"]
    folder = site.parts.settings.data_path / "store" / "uploads" / asset_id
    assert [path.read_bytes() for path in folder.iterdir()] == [b"same"]
    status, other = await site.ask("POST", path, "bert-edits", data=b"same", headers=key)
    assert status == 201 and other["data"]["asset_id"] != asset_id


async def test_a_list_of_assets_gets_a_list_with_each_items_own_result(site: Site) -> None:
    items: list[dict[str, Any]] = [
        {"input": {"object": "a.mp4"}, "pipeline": "noop", "asset_id": f"mine-{time.time_ns()}"},
        {"input": {"object": "a.mp4"}, "pipeline": "dishes"},
        {"input": {"object": "../etc/passwd"}},
        {"input": {}},
    ]
    status, body = await site.ask("POST", "/v1/assets", json=items)
    assert status == 202
    assert body["data"][0]["asset_id"] == items[0]["asset_id"] and body["data"][0]["status"] == 202
    codes = [result["error"]["code"] for result in body["data"][1:]]
    assert codes == ["unknown-pipeline", "invalid-input", "invalid-input"]
    status, _ = await site.ask("GET", f"/v1/jobs/{body['data'][0]['job_id']}?after={body['cursor']}")
    assert status == 200


@pytest.mark.parametrize(
    "path, options, expected",
    [
        ("/v1/assets", {"data": b"{", "headers": {"Content-Type": "application/json"}}, (400, "invalid-json")),
        ("/v1/assets", {"json": {"input": {"object": "a"}, "colour": "red"}}, (422, "invalid-body")),
        ("/v1/assets", {"json": []}, (422, "invalid-body")),
        ("/v1/assets", {"data": b"a=b", "headers": {"Content-Type": "text/plain"}}, (415, "unsupported-media-type")),
        ("/v1/assets", {"data": io.BytesIO(b"[" * 5_000_000)}, (413, "body-too-large")),
        ("/v1/uploads?pipeline=dishes", {"data": b"x"}, (422, "unknown-pipeline")),
        ("/v1/jobs/job_nobody/cancel", {}, (404, "not-found")),
        ("/v1/nothing", {}, (404, "not-found")),
        ("/v1/stats", {}, (405, "method-not-allowed")),
    ],
)
async def test_bad_input_gets_a_stable_code(
    site: Site, path: str, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    status, problem = await site.ask("POST", path, **options)
    assert (status, problem["code"]) == expected
    assert problem["request_id"] and problem["detail"]


@pytest.mark.parametrize(
    "query", ["status=x", "limit=0", "cursor=x", "sort=x", "pipeline=dishes", "colour=red", "after=x"]
)
async def test_a_list_refuses_what_it_does_not_know(site: Site, query: str) -> None:
    status, problem = await site.ask("GET", f"/v1/jobs?{query}")
    assert status == 400 and problem["code"].startswith(("invalid-", "unknown-"))


async def test_cancel_and_retry_are_accepted_once_and_refused_when_they_make_no_sense(
    site: Site, control: ControlStandIn
) -> None:
    job = await submitted(site)
    path = f"/v1/jobs/{job['job_id']}"
    assert (await site.ask("POST", f"{path}/retry", "anna-edits"))[1]["code"] == "not-retryable"
    status, body = await site.ask("POST", f"{path}/cancel", "anna-edits")
    assert status == 202
    _, shown = await site.ask("GET", f"{path}?after={body['cursor']}", "anna-edits")
    assert shown["data"]["status"] == "cancelled"
    status, problem = await site.ask("POST", f"{path}/cancel", "anna-edits")
    assert (status, problem["code"]) == (409, "job-ended")
    status, body = await site.ask("POST", f"{path}/retry", "anna-edits")
    _, shown = await site.ask("GET", f"{path}?after={body['cursor']}", "anna-edits")
    assert (status, shown["data"]["run"], shown["data"]["status"]) == (202, 2, "waiting")


async def test_another_replica_shows_the_write_to_whoever_has_its_cursor(site: Site, make: Make) -> None:
    async with serve(make(KINOLOG_WEB__REPLICA="web-2")) as other:
        for _ in range(5):
            job = await submitted(site)
            status, _ = await other.ask("GET", f"/v1/jobs/{job['job_id']}?after={job['cursor']}", "anna-edits")
            assert status == 200


async def test_a_write_that_nobody_applies_is_waited_for_only_so_long(make: Make) -> None:
    async with serve(make(KINOLOG_WEB__AFTER_TIMEOUT_S="0.3")) as site:
        job = await submitted(site)
        status, problem = await site.ask("GET", f"/v1/jobs/{job['job_id']}?after={job['cursor']}")
        assert (status, problem["code"]) == (503, "read-model-behind")


async def test_a_live_client_sees_its_job_move_and_holds_what_rest_shows(site: Site, control: ControlStandIn) -> None:
    job = await submitted(site)
    url = site.server.make_url(f"/v1/live?subscribe=job:{job['job_id']}")
    async with site.session.ws_connect(url, protocols=("kinolog", "bearer.anna-views")) as live:
        assert live.protocol == "kinolog"
        first = await frame(live, "snapshot")
        assert [found["status"] for found in first["jobs"]] == ["waiting"]
        row = control.jobs[job["job_id"]]
        lease = Lease(id="l1", executor_id="e1", accepted_at=time.time())
        running = replace(row.steps[0], status="active", attempt=1, lease=lease)
        await control.change(row.id, status="active", steps=(running,))
        assert (await frame(live, "job"))["job"]["status"] == "active"
        said: dict[str, Any] = {
            "job_id": row.id,
            "asset_id": row.asset_id,
            "run": 1,
            "step": "noop",
            "attempt": 1,
            "lease_id": "l1",
        }
        await control.say(StepProgressed(progress=0.42, eta_s=3.0, **said))
        moved = await frame(live, "progress")
        assert (moved["job_id"], moved["step"], moved["progress"], moved["eta_s"]) == (row.id, "noop", 42.0, None)
        assert (await site.ask("GET", f"/v1/jobs/{row.id}"))[1]["data"]["progress"] == 42.0
        await control.change(row.id, status="failed", steps=(replace(running, status="failed"),), error=an_error())
        last = await frame(live, "job")
        assert last["job"] == (await site.ask("GET", f"/v1/jobs/{row.id}"))[1]["data"]
        await control.delete(row.id)
        assert (await frame(live, "deleted"))["job_id"] == row.id
    assert (await site.ask("GET", f"/v1/jobs/{row.id}"))[0] == 404


async def test_a_client_that_comes_back_with_its_cursor_is_told_what_it_missed_on_any_replica(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    job = await submitted(site)
    live_url = "/v1/live?subscribe=all"
    headers = {"Authorization": "Bearer anna-edits"}
    async with site.session.ws_connect(site.server.make_url(live_url), headers=headers) as live:
        cursor = (await frame(live, "snapshot"))["cursor"]
    async with serve(make(KINOLOG_WEB__REPLICA="web-2")) as other:
        for status in ("active", "failed"):
            await control.change(job["job_id"], status=status)
        for replica in (site, other):
            async with replica.session.ws_connect(
                replica.server.make_url(f"{live_url}&cursor={cursor}"), headers=headers
            ) as live:
                assert await states_until(live, "failed", job["job_id"])


async def test_server_sent_events_carry_the_same_frames(site: Site, control: ControlStandIn) -> None:
    job = await submitted(site)
    headers = {"Authorization": "Bearer anna-edits"}
    url = site.server.make_url(f"/v1/live/sse?subscribe=job:{job['job_id']}")
    async with asyncio.timeout(30), site.session.get(url, headers=headers) as events:
        assert events.content_type == "text/event-stream"
        lines = (line async for line in events.content)
        first = await anext(line async for line in lines if line.startswith(b"data: "))
        assert json.loads(first[6:])["type"] == "snapshot"
        await control.change(job["job_id"], status="active")
        second = await anext(line async for line in lines if line.startswith(b"data: "))
        assert json.loads(second[6:])["job"]["status"] == "active"


async def test_a_client_that_stops_reading_is_closed_and_the_others_lose_nothing(
    make: Make, control: ControlStandIn
) -> None:
    async with serve(make(KINOLOG_WEB__LIVE_QUEUE_BYTES="200000")) as site:
        job = await submitted(site)
        await site.ask("GET", f"/v1/jobs/{job['job_id']}?after={job['cursor']}")
        headers = {"Authorization": f"Bearer {ADMIN}"}
        url = site.server.make_url("/v1/live")
        async with (
            site.session.ws_connect(url, headers=headers) as live,
            site.session.ws_connect(url, headers=headers) as slow,
        ):
            await frame(live, "snapshot")
            await frame(slow, "snapshot")
            _connection(slow).pause_reading()
            for n in range(300):  # 18 MB: more than the kernel keeps for the two ends of a connection
                await control.change(job["job_id"], passthrough=f"{n}:" + "x" * 60_000)
                assert (await frame(live, "job"))["job"]["passthrough"].startswith(f"{n}:")
            await eventually(lambda: len(site.parts.hub) == 1)
            _connection(slow).resume_reading()
            codes = [
                found.data for found in [await slow.receive() for _ in range(301)] if found.type is WSMsgType.CLOSE
            ]
            assert codes in ([4008], [])


def _connection(live: ClientWebSocketResponse) -> ResponseHandler:
    assert live._conn is not None and live._conn.protocol is not None
    return live._conn.protocol


async def test_media_is_served_whole_in_parts_and_to_those_who_may(site: Site, control: ControlStandIn) -> None:
    job = await submitted(site)
    folder = site.parts.settings.data_path / "store" / "assets" / job["asset_id"] / "transcode" / "1-l"
    folder.mkdir(parents=True)
    (folder / "master.m3u8").write_bytes(b"#EXTM3U\n" + bytes(range(256)))
    (folder.parents[2] / "secret").write_bytes(b"of somebody else")
    await eventually(lambda: job["job_id"] in control.jobs)
    row = control.jobs[job["job_id"]]
    _, early = await site.ask("POST", f"/v1/assets/{row.asset_id}/playback?after={job['cursor']}", json={})
    assert (early["data"]["master_url"], early["data"]["status"]) == (None, "UPLOADED")
    outputs = {"master": f"assets/{job['asset_id']}/transcode/1-l/master.m3u8"}
    step = replace(row.steps[0], spec=replace(row.steps[0].spec, name="transcode"), status="completed", outputs=outputs)
    await control.change(row.id, status="completed", steps=(step,))
    path = f"/media/{job['asset_id']}/transcode/1-l/master.m3u8"

    async def is_ready() -> Any:
        _, asset = await site.ask("GET", f"/v1/assets/{job['asset_id']}")
        return asset["data"]["status"] == "READY"

    await eventually(is_ready)
    url = site.server.make_url(path)
    headers = {"Authorization": "Bearer anna-views"}
    async with site.session.get(url, headers=headers) as whole:
        assert whole.status == 200 and whole.content_type == "application/vnd.apple.mpegurl"
        assert "immutable" in whole.headers["Cache-Control"] and whole.headers["X-Content-Type-Options"] == "nosniff"
        content, etag = await whole.read(), whole.headers["ETag"]
    async with site.session.get(url, headers=headers | {"Range": "bytes=8-17"}) as part:
        assert (part.status, await part.read()) == (206, content[8:18])
        assert part.headers["Content-Range"] == f"bytes 8-17/{len(content)}"
    async with site.session.get(url, headers=headers | {"Range": "bytes=9999-"}) as beyond:
        assert beyond.status == 416 and beyond.headers["Content-Range"] == f"bytes */{len(content)}"
    async with site.session.get(url, headers=headers | {"If-None-Match": etag}) as known:
        assert known.status == 304
    async with site.session.head(url, headers=headers) as head:
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(content)))
    for outside in ("..%2f..%2fsecret", "transcode/%2e%2e/%2e%2e/%2e%2e/secret", ".hidden", "%00"):
        assert (await site.ask("GET", f"/media/{job['asset_id']}/{outside}", "anna-views"))[0] == 404
    assert (await site.ask("GET", path, "bert-edits"))[0] == 404
    assert (await site.ask("GET", path, None))[0] == 401
    _, signed = await site.ask("POST", f"/v1/assets/{job['asset_id']}/playback", "anna-views", json={"ttl_s": 60})
    assert (await site.ask("GET", signed["data"]["master_url"], None)) == (200, content)
    assert (await site.ask("GET", signed["data"]["master_url"].replace(job["asset_id"], "asset_x"), None))[0] == 403


#: Whose token -> what it gets for anna's job or asset, for a cancel of it, and for a submission of one's own.
ACCESS = [
    (None, 401, 401, 401),
    ("wrong", 401, 401, 401),
    ("anna-views", 200, 403, 403),
    ("anna-edits", 200, 202, 202),
    ("bert-edits", 404, 404, 202),
    (ADMIN, 200, 202, 202),
]


@pytest.mark.parametrize("token, job, cancel, submit", ACCESS)
async def test_who_may_do_what(site: Site, token: str | None, job: int, cancel: int, submit: int) -> None:
    mine = await submitted(site)
    path = f"/v1/jobs/{mine['job_id']}"
    assert (await site.ask("GET", path, token))[0] == job
    assert (await site.ask("GET", f"/v1/assets/{mine['asset_id']}", token))[0] == job
    assert (await site.ask("POST", "/v1/assets", token, json={"input": {"object": "media/a"}, "pipeline": "noop"}))[
        0
    ] == submit
    assert (await site.ask("POST", "/v1/uploads?pipeline=noop", token, data=b"x"))[0] == {202: 201}.get(submit, submit)
    for live in ("/v1/live", "/v1/live/sse"):
        assert await _live_status(site, f"{live}?subscribe=job:{mine['job_id']}", token) == job
    status, found = await site.ask("GET", f"/v1/jobs?asset_id={mine['asset_id']}", token)
    assert status == (401 if job == 401 else 200)
    assert len(found.get("data", [])) == (1 if job == 200 else 0)
    taken = {"input": {"object": f"uploads/{mine['asset_id']}/source"}, "pipeline": "noop"}
    assert (await site.ask("POST", "/v1/assets", token, json=taken))[0] == (404 if token == "bert-edits" else submit)
    foreign = {"input": {"object": "media/a"}, "pipeline": "noop", "asset_id": mine["asset_id"]}
    assert (await site.ask("POST", "/v1/assets", token, json=foreign))[0] == (404 if token == "bert-edits" else submit)
    assert (await site.ask("POST", f"{path}/cancel", token))[0] == cancel


async def _live_status(site: Site, path: str, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = site.server.make_url(path)
    if "sse" in path:
        async with site.session.get(url, headers=headers) as answer:
            return answer.status
    try:
        async with site.session.ws_connect(url, headers=headers):
            return 200
    except WSServerHandshakeError as error:
        return error.status


async def test_pages_of_other_sites_cannot_open_the_live_socket(site: Site) -> None:
    url, headers = site.server.make_url("/v1/live"), {"Authorization": f"Bearer {ADMIN}"}
    with pytest.raises(WSServerHandshakeError) as refused:
        await site.session.ws_connect(url, headers=headers | {"Origin": "https://elsewhere.example"})
    assert refused.value.status == 403
    own = f"http://{site.server.host}:{site.server.port}"
    async with site.session.ws_connect(url, headers=headers | {"Origin": own}):
        pass


async def test_the_page_and_the_health_need_no_token(site: Site) -> None:
    for path in ("/", "/healthz", "/readyz", "/static/app.js"):
        assert (await site.ask("GET", path, None))[0] == 200
    async with site.session.get(site.server.make_url("/")) as page:
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert (await site.ask("GET", "/static/../app.py", None))[0] in (401, 404)
    assert (await site.ask("GET", "/static/%2e%2e/app.py", None))[0] in (401, 404)


async def test_a_replica_with_an_empty_disk_reads_it_all_again(site: Site, make: Make, control: ControlStandIn) -> None:
    job = await submitted(site)
    await control.put(a_job(time.time_ns() % 10**9))
    async with serve(make(KINOLOG_WEB__REPLICA="web-3")) as fresh:
        path = f"/v1/jobs?limit=500&after={job['cursor']}"

        async def same() -> bool:
            _, here = await site.ask("GET", path)
            _, there = await fresh.ask("GET", path)
            return bool(here["data"]) and there == here

        await eventually(same)  # each replica gets the reports of queues when it gets them
