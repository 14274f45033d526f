"""An upload that breaks off goes on where it broke, and becomes a job like any other."""

import asyncio
import base64
import io
from pathlib import Path

from tests.conftest import eventually
from tests.e2e.system import System

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


async def test_an_interrupted_upload_resumes_and_is_processed(system: System, clip: Path) -> None:
    content = clip.read_bytes()
    async with system.client() as api:
        async with api.session.options("/v1/uploads/tus") as reply:
            assert reply.headers["Tus-Version"] == "1.0.0"
            assert {"creation", "termination", "expiration"} <= set(reply.headers["Tus-Extension"].split(","))
        named = f"filename {base64.b64encode(b'clip.mp4').decode()},pipeline {base64.b64encode(b'standard').decode()}"
        begun = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": named}
        async with api.session.post("/v1/uploads/tus", headers=begun) as reply:
            assert reply.status == 201
            place, job_id = reply.headers["Location"], reply.headers["Kinolog-Job-Id"]
            assert "Upload-Expires" in reply.headers
        await _break_off(system, place, content)

        async def offset() -> int:
            async with api.session.head(place, headers=TUS) as reply:
                assert reply.status == 200
                return int(reply.headers["Upload-Offset"])

        at = await eventually(offset)
        assert 0 < at < len(content)
        for wrong in (0, at + 1):
            async with api.session.patch(place, headers={**BYTES, "Upload-Offset": str(wrong)}, data=b"x") as reply:
                assert reply.status == 409
        rest = {**BYTES, "Upload-Offset": str(at)}
        async with api.session.patch(place, headers=rest, data=io.BytesIO(content[at:])) as reply:
            assert (reply.status, reply.headers["Upload-Offset"]) == (204, str(len(content)))
        job = await api.ended(job_id)
        assert (job["status"], job["filename"]) == ("completed", "clip.mp4")
        assert not list((system.data_dir / "web" / "tus").iterdir())


async def test_a_connection_that_died_without_a_word_does_not_keep_the_client_waiting(system: System) -> None:
    content = bytes(300_000)
    async with system.client() as api:
        named = f"pipeline {base64.b64encode(b'noop').decode()}"
        begun = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": named}
        async with api.session.post("/v1/uploads/tus", headers=begun) as reply:
            place, job_id = reply.headers["Location"], reply.headers["Kinolog-Job-Id"]
        writer = await _send_half(system, place, content)
        try:
            async with api.session.head(place, headers=TUS) as reply:
                at = int(reply.headers["Upload-Offset"])
                assert (reply.status, reply.headers["Upload-Metadata"]) == (200, named)
            rest = {**BYTES, "Upload-Offset": str(at)}
            async with api.session.patch(place, headers=rest, data=io.BytesIO(content[at:])) as reply:
                assert reply.status == 204
        finally:
            writer.close()
        # Its answer is lost: the client asks again, and must not send it all a second time.
        async with api.session.head(place, headers=TUS) as reply:
            assert (reply.status, reply.headers["Upload-Offset"]) == (200, str(len(content)))
        job = await api.ended(job_id)
        assert job["status"] == "completed"
        assert system.stored(f"uploads/{job['asset_id']}/source").read_bytes() == content


async def _break_off(system: System, place: str, content: bytes) -> None:
    """Send half of what was announced, and hang up."""
    (await _send_half(system, place, content)).close()


async def _send_half(system: System, place: str, content: bytes) -> asyncio.StreamWriter:
    """Send half of what was announced; the connection is as it was."""
    host, port = system.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    lines = [f"PATCH {place} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {system.token}"]
    lines += [f"{name}: {value}" for name, value in {**BYTES, "Upload-Offset": "0"}.items()]
    writer.write("\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode())
    writer.write(content[: len(content) // 2])
    await writer.drain()
    await asyncio.sleep(0.2)  # it has arrived when the connection goes
    return writer


async def test_an_upload_that_is_given_up_is_gone(system: System) -> None:
    async with system.client() as api:
        async with api.session.post("/v1/uploads/tus", headers={**TUS, "Upload-Length": "10"}) as reply:
            place = reply.headers["Location"]
        async with api.session.delete(place, headers=TUS) as reply:
            assert reply.status == 204
        async with api.session.head(place, headers=TUS) as reply:
            assert reply.status == 404
        for headers, status in (({"Upload-Length": "10"}, 412), (TUS, 400), ({**TUS, "Upload-Length": "9" * 14}, 413)):
            async with api.session.post("/v1/uploads/tus", headers=headers) as reply:
                assert reply.status == status


async def test_what_no_row_points_at_is_found_and_removed_and_nothing_else(system: System, clip: Path) -> None:
    async with system.client() as api:
        job = await api.ended((await api.upload(clip))["job_id"])
        asset_id = job["asset_id"]
        before = {path for path in (system.data_dir / "store").rglob("*") if path.is_file()}
        orphans = [f"assets/{asset_id}/transcode/2-lease_lost/master.m3u8", "assets/asset_gone/probe/1-lease_x/a.json"]
        orphans.append("uploads/asset_gone/source")
        for key in orphans:
            system.stored(key).parent.mkdir(parents=True, exist_ok=True)
            system.stored(key).write_bytes(b"lost")
        _, body = await api.post("/v1/store/gc", {"dry_run": True})
        assert body["data"]["objects"] == 0  # younger than a day

        async def found() -> bool:
            _, body = await api.post("/v1/store/gc", {"dry_run": True, "older_than_days": 0})
            return (body["data"]["objects"], body["data"]["bytes"]) == (3, 12)

        await eventually(found, 10)  # the log's time may be a moment behind that of the files
        assert all(system.stored(key).exists() for key in orphans)
        _, body = await api.post("/v1/store/gc", {"older_than_days": 0})
        assert body["data"]["objects"] == 3
        assert {path for path in (system.data_dir / "store").rglob("*") if path.is_file()} == before
