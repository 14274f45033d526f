"""/v1/uploads/tus: resumable uploads. Source: tus resumable upload protocol 1.0.0.

An upload is kept in a folder until it is complete: replicas that do not share that folder (KINOLOG_WEB__TUS_DIR) need a
load balancer with sticky sessions.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

from aiohttp import web

from processors.threads import in_thread
from streams.ids import new_id
from web.api.uploads.tus_completion import LOCKS, METADATA_FIELDS, complete, submission_of, tus_folder
from web.auth.middleware import caller_of
from web.auth.principal import Principal
from web.http.problems import CLOSE, Problem, not_found
from web.http.routing import Routes
from web.http.text_repair import repair_name
from web.services import Services, services
from web.upload_staging.block_writer import write_blocks
from web.upload_staging.tus_locks import ReadTimeout
from web.upload_staging.tus_storage import TusUpload

routes = Routes("Uploads")

VERSION = "1.0.0"
_HEADERS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}


@routes.on("OPTIONS", "/v1/uploads/tus", responses={204: None})
async def show_tus(request: web.Request) -> web.Response:
    """Show the supported version and extensions of tus."""
    most = services(request).settings.web.max_upload_bytes
    offered = {"Tus-Version": VERSION, "Tus-Extension": "creation,termination,expiration", "Tus-Max-Size": str(most)}
    return web.Response(status=204, headers=_HEADERS | offered)


@routes.post("/v1/uploads/tus", responses={201: None}, problems=(400, 403, 412, 413, 422, 429, 503))
async def create_tus(request: web.Request) -> web.Response:
    """Create a resumable upload of `Upload-Length` bytes at `Location`. The response has the ids of its job.

    `Upload-Metadata` may have filename, pipeline and passthrough.
    """
    _require_version(request)
    parts, principal = services(request), caller_of(request)
    size_bytes = _number(request, "Upload-Length")
    most = parts.settings.web.max_upload_bytes
    if size_bytes > most:
        raise Problem(413, "upload-too-large", f"the upload has {size_bytes} bytes; at most {most} are allowed", CLOSE)
    fields = metadata(request.headers.get("Upload-Metadata", ""))
    submission_fields = {name: fields[name] for name in METADATA_FIELDS if fields.get(name)}
    upload = TusUpload(
        id=new_id("tus"),
        size_bytes=size_bytes,
        asset_id=new_id("asset"),
        job_id=new_id("job"),
        owner=principal.owner,
        metadata=request.headers.get("Upload-Metadata"),
        **submission_fields,
    )
    submission_of(parts, upload)  # whatever can be rejected is rejected before the bytes
    parts.commands.require_connection()
    parts.clock.now()  # it dates the upload
    LOCKS.require_room(upload.owner, parts.settings.web.tus_per_owner)
    LOCKS.incomplete[upload.owner] += 1  # before the next `await`: another request may be as far
    await asyncio.to_thread(tus_folder(parts).create, upload)
    if not size_bytes:
        await complete(parts, upload)
    headers = await _state(parts, upload) if size_bytes else _ids(upload)
    return web.Response(status=201, headers=headers | {"Location": f"/v1/uploads/tus/{upload.id}"})


@routes.on("HEAD", "/v1/uploads/tus/{upload_id}", access="editor", responses={200: None}, problems=(404, 409, 412))
async def show_tus_upload(request: web.Request) -> web.Response:
    """Show the offset of a resumable upload."""
    _require_version(request)
    parts = services(request)
    done = LOCKS.finished(request.match_info["upload_id"])
    # Its last response may have been lost: the bytes must not be sent again.
    if done is not None and _may(caller_of(request), done):
        size = str(done.size_bytes)
        return web.Response(headers=_ids(done) | {"Upload-Offset": size, "Upload-Length": size})
    async with _turn(request):
        upload, offset = await _find(request)
        headers = {"Upload-Offset": str(offset), "Upload-Length": str(upload.size_bytes)}
        if upload.metadata is not None:
            headers["Upload-Metadata"] = upload.metadata
        return web.Response(headers=headers | await _state(parts, upload))


@routes.on(
    "PATCH",
    "/v1/uploads/tus/{upload_id}",
    access="editor",
    body=("application/offset+octet-stream",),
    responses={204: None},
    problems=(400, 404, 408, 409, 412, 413, 415, 503),
)
async def continue_tus(request: web.Request) -> web.Response:
    """Append bytes at `Upload-Offset`. Bytes received before a broken connection are kept; the last starts the job."""
    _require_version(request)
    if request.content_type != "application/offset+octet-stream":
        raise Problem(415, "unsupported-media-type", "the body must be application/offset+octet-stream")
    parts = services(request)
    async with _turn(request):
        upload, offset = await _find(request)
        if _number(request, "Upload-Offset") != offset:
            raise Problem(409, "offset-mismatch", f"the offset of the upload is {offset}")
        offset = await _receive(request, upload, offset)
        headers = {"Upload-Offset": str(offset)} | await _state(parts, upload)
        if offset == upload.size_bytes:
            await complete(parts, upload)
    return web.Response(status=204, headers=headers)


@routes.delete("/v1/uploads/tus/{upload_id}", responses={204: None}, problems=(404, 409, 412))
async def end_tus(request: web.Request) -> web.Response:
    """Cancel a resumable upload and delete its bytes."""
    _require_version(request)
    async with _turn(request):
        upload, _ = await _find(request)
        await asyncio.to_thread(tus_folder(services(request)).remove, upload.id)
        LOCKS.note_removed(upload.owner)
    return web.Response(status=204, headers=_HEADERS)


async def _receive(request: web.Request, upload: TusUpload, offset: int) -> int:
    """Write the body; returns the new offset. Bytes received before a broken connection are kept."""
    parts, received = services(request), 0

    async def chunks(stall: ReadTimeout) -> AsyncIterator[bytes]:
        nonlocal received
        while chunk := await request.content.readany():
            stall.renew()
            received += len(chunk)
            if offset + received > upload.size_bytes:
                raise Problem(413, "upload-too-large", "the body is longer than Upload-Length", CLOSE)
            yield chunk

    async def write(block: bytearray) -> None:
        await in_thread(tus_folder(parts).append, upload.id, block)

    try:
        async with LOCKS.reading(upload.id, parts.settings.web.upload_stall_s) as stall:
            await write_blocks(chunks(stall), write)
        return offset + received
    except TimeoutError as error:
        detail = "no data was received for too long, or a newer request took over; received bytes are kept"
        raise Problem(408, "upload-stalled", detail, CLOSE) from error


async def _find(request: web.Request) -> tuple[TusUpload, int]:
    state = await asyncio.to_thread(tus_folder(services(request)).find, request.match_info["upload_id"])
    if state is None or not _may(caller_of(request), state[0]):
        raise not_found("upload")
    return state


@contextlib.asynccontextmanager
async def _turn(request: web.Request) -> AsyncIterator[None]:
    await _find(request)  # before a request of another owner could end it
    try:
        async with LOCKS.locked(tus_folder(services(request)), request.match_info["upload_id"]):
            yield
    except FileNotFoundError as error:
        raise not_found("upload") from error


def _may(principal: Principal, upload: TusUpload) -> bool:
    return principal.sees(upload.owner)


async def _state(parts: Services, upload: TusUpload) -> dict[str, str]:
    expires = await asyncio.to_thread(tus_folder(parts).expires_at, upload.id)
    return _ids(upload) | {"Upload-Expires": formatdate(expires, usegmt=True)}


def _ids(upload: TusUpload) -> dict[str, str]:
    return _HEADERS | {"Kinolog-Asset-Id": upload.asset_id, "Kinolog-Job-Id": upload.job_id}


def _require_version(request: web.Request) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise Problem(412, "tus-version", f"Tus-Resumable must be {VERSION}", {"Tus-Version": VERSION})


def _number(request: web.Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Problem(400, "invalid-header", f"{name} must be a number of bytes")
    return int(text)


def metadata(text: str) -> dict[str, str]:
    """Parse names and base64 values. Raises Problem (400). Source: tus 1.0.0, Upload-Metadata."""
    fields: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(" ")
        try:
            raw = base64.b64decode(value, validate=True)
            fields[name] = repair_name(raw.decode(errors="surrogateescape")) if name == "filename" else raw.decode()
        except ValueError as error:  # not base64, ASCII or UTF-8
            raise Problem(400, "invalid-header", "Upload-Metadata must be UTF-8 in base64") from error
    return {name: Path(value).name if name == "filename" else value for name, value in fields.items()}
