"""What a client leaves is freed when its connection ends: the next full collection of garbage is half an hour later."""

import asyncio
import gc
from pathlib import Path
from urllib.parse import urlsplit

from streams.ids import new_id
from tests.abuse.replica import serving
from tests.uncollected import uncollected
from web.api.uploads.tus_completion import tus_folder
from web.connections.patch_reading import TurnTakingHandler
from web.services import Services
from web.upload_staging.tus_storage import TusUpload

_TIMES = 5
#: In which a connection that was cut has ended: a second, if its response waits with repeated ones.
_ENDED_S = 3.0
_Request = tuple[str, str, bytes]
_JSON = "Content-Type: application/json\r\n"
_UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
_TUS = "Tus-Resumable: 1.0.0\r\n"
_HALF = f"{_TUS}Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 100000\r\n"
#: Request lines, headers and the beginning of a body, after which the client leaves.
_REQUESTS: dict[str, _Request] = {
    "a page that is left": ("GET /v1/live?subscribe=all", _UPGRADE, b""),
    "a websocket with pings": ("GET /v1/live?subscribe=all", _UPGRADE, b"\x89\x80\0\0\0\0" * 3),
    "a websocket with garbage": ("GET /v1/live?subscribe=all", _UPGRADE, b"\xff" * 300),
    "an event stream": ("GET /v1/live/sse?subscribe=all", "", b""),
    "half a JSON body": ("POST /v1/assets", f"{_JSON}Content-Length: 1000\r\n", b"{"),
    "half an upload": ("POST /v1/uploads?filename=a.mp4", "Content-Length: 100000\r\n", b"x" * 500),
    "half a chunk": ("POST /v1/assets", f"{_JSON}Transfer-Encoding: chunked\r\n", b"5\r\nab"),
    "an export": ("GET /v1/jobs/export?format=csv", "", b""),
    "an unknown path": ("GET /nothing", "", b""),
    "an unknown method": ("PUT /v1/jobs", _JSON, b""),
    "a broker that is away": ("GET /v1/jobs/job_anna_1/events", "", b""),
}


def _requests(parts: Services) -> dict[str, _Request]:
    upload_id = new_id("tus")
    upload = TusUpload(id=upload_id, size_bytes=1_000_000, owner="anna", asset_id="asset_1", job_id="job_1")
    tus_folder(parts).create(upload)
    return {**_REQUESTS, "half a resumable upload": (f"PATCH /v1/uploads/tus/{upload_id}", _HALF, b"x" * 1000)}


async def _leave_often(url: str, source: str, request: _Request) -> None:
    """Send a request and cut the connection, some times."""
    line, headers, body = request
    head = f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer anna-edits\r\n{headers}\r\n"
    for _ in range(_TIMES):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port, local_addr=(source, 0))
        writer.write(head.encode())
        if "Upgrade" in headers:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        await asyncio.sleep(0.05)
        writer.transport.abort()


async def test_what_a_client_leaves_is_freed_when_its_connection_ends(tmp_path: Path) -> None:
    # Reports: python-websockets/websockets#1749, aio-libs/aiohttp#10535 (closed ones wait for a collection).
    async with serving(str(tmp_path), 100) as (url, parts):
        requests = {f"127.0.1.{number}": each for number, each in enumerate(_requests(parts).items(), start=1)}
        with uncollected() as objects:
            async with asyncio.TaskGroup() as group:
                for source, (_, request) in requests.items():
                    group.create_task(_leave_often(url, source, request))
            await asyncio.sleep(_ENDED_S)
            gc.collect()
            left = {requests[one._source][0] for one in objects if isinstance(one, TurnTakingHandler)}
        for part in (parts.model, parts.index, parts.event_index):
            part.close()
    assert left == set()
