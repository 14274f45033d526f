"""/v1/uploads/tus: resumable uploads. Source: tus resumable upload protocol 1.0.0.

An upload is kept in a folder until it is complete: replicas that do not share that folder (KINOLOG_WEB__TUS_DIR) need a
load balancer with sticky sessions.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email.utils import formatdate

from aiohttp import web

from streams.ids import new_id
from web.api.common import base_url
from web.api.uploads.tus_completion import (
    LOCKS,
    METADATA_FIELDS,
    complete,
    finished_upload,
    submission_of,
    tus_folder,
    tus_job_id,
)
from web.api.uploads.tus_concat import concatenate
from web.api.uploads.tus_headers import (
    BYTES_TYPE,
    CHECKSUMS,
    EXTENSIONS,
    HEADERS,
    PATH,
    VERSION,
    announced_size,
    concatenation,
    metadata,
    number_of_bytes,
    require_version,
)
from web.api.uploads.tus_receive import receive
from web.auth.middleware import caller_of
from web.http.problems import CLOSE, Problem, not_found
from web.http.routing import Handler, Routes
from web.services import Services, services
from web.upload_staging.tus_storage import TusUpload

routes = Routes("Uploads")


@routes.on("OPTIONS", PATH, responses={204: None})
async def show_tus(request: web.Request) -> web.Response:
    """Show the supported version and extensions of tus."""
    most = services(request).settings.web.max_upload_bytes
    offered = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(most)}
    return web.Response(status=204, headers=HEADERS | offered | {"Tus-Checksum-Algorithm": ",".join(CHECKSUMS)})


@routes.post(
    PATH, body=(BYTES_TYPE,), responses={201: None}, problems=(400, 403, 404, 408, 409, 412, 413, 422, 429, 503, 507)
)
async def create_tus(request: web.Request) -> web.Response:
    """Create a resumable upload of `Upload-Length` bytes at `Location`. The response has the ids of its job.

    `Upload-Metadata` may have filename, pipeline, passthrough and priority. The length may be told later
    (`Upload-Defer-Length`), the first bytes may come at once, and `Upload-Concat` makes one upload of several partial
    ones.
    """
    require_version(request)
    if partial_ids := concatenation(request):
        final = await concatenate(request, partial_ids)
        return _created(request, _ids(final), final.id)
    parts, upload = services(request), _new_upload(request)
    if not upload.partial:
        submission_of(parts, upload)  # whatever can be rejected is rejected before the bytes
    parts.commands.require_connection()
    parts.clock.now()  # it dates the upload
    LOCKS.require_room(upload.owner, parts.settings.web.tus_per_owner)
    LOCKS.incomplete[upload.owner] += 1  # before the next `await`: another request may be as far
    await asyncio.to_thread(tus_folder(parts).create, upload)
    async with _turn(request, upload.id):
        offset = await receive(request, upload, 0) if request.content_type == BYTES_TYPE else 0
        headers = {"Upload-Offset": str(offset)} | await _state(parts, upload)
        await _complete_whole(parts, upload, offset)
    return _created(request, headers, upload.id)


def _new_upload(request: web.Request) -> TusUpload:
    """Describe the upload that the headers request. Raises Problem: 400, 413."""
    size_bytes, most = announced_size(request), services(request).settings.web.max_upload_bytes
    if size_bytes is not None and size_bytes > most:
        raise Problem(413, "upload-too-large", f"the upload has {size_bytes} bytes; at most {most} are allowed", CLOSE)
    fields = metadata(request.headers.get("Upload-Metadata", ""))
    upload_id = new_id("tus")
    return TusUpload(
        id=upload_id,
        size_bytes=size_bytes,
        asset_id=new_id("asset"),
        job_id=tus_job_id(upload_id),
        owner=caller_of(request).owner,
        metadata=request.headers.get("Upload-Metadata"),
        partial=concatenation(request) is not None,
        **{name: fields[name] for name in METADATA_FIELDS if fields.get(name)},
    )


def _created(request: web.Request, headers: dict[str, str], upload_id: str) -> web.Response:
    base = base_url(request) if services(request).settings.web.public_base is not None else ""
    return web.Response(status=201, headers=headers | {"Location": f"{base}{PATH}/{upload_id}"})


@routes.on("HEAD", f"{PATH}/{{upload_id}}", access="editor", responses={200: None}, problems=(404, 409, 412))
async def show_tus_upload(request: web.Request) -> web.Response:
    """Show the offset of a resumable upload.

    Of one that has become a job, any replica shows it for as long as the job exists.
    """
    require_version(request)
    # Its last response may have been lost: the bytes must not be sent again.
    if (headers := await _finished(request)) is not None:
        return web.Response(headers=headers)
    try:
        async with _turn(request, _id(request)):
            upload, offset = await _find(request, _id(request))
            # The client need not keep what is before the offset.
            await asyncio.to_thread(tus_folder(services(request)).sync, upload.id)
            return web.Response(headers=_described(upload, offset) | await _state(services(request), upload))
    except Problem as problem:
        if problem.status != 404 or (headers := await _finished(request)) is None:
            raise
        return web.Response(headers=headers)  # it was completed meanwhile


@routes.on(
    "PATCH",
    f"{PATH}/{{upload_id}}",
    access="editor",
    body=(BYTES_TYPE,),
    responses={204: None},
    problems=(400, 404, 408, 409, 412, 413, 415, 460, 503, 507),
)
async def continue_tus(request: web.Request) -> web.Response:
    """Append bytes at `Upload-Offset`. Bytes received before a broken connection are kept; the last starts the job.

    With `Upload-Checksum`, bytes that differ from it are not kept: 460.
    """
    require_version(request)
    if request.content_type != BYTES_TYPE:
        raise Problem(415, "unsupported-media-type", f"the body must be {BYTES_TYPE}")
    try:
        return await _continue(request)
    except Problem as problem:
        if problem.status != 404 or await _finished(request) is None:
            raise
        # By another tab or replica. The client requests the offset then, and sees that it is done.
        raise Problem(409, "offset-mismatch", "the upload is complete") from problem


async def _continue(request: web.Request) -> web.Response:
    parts = services(request)
    async with _turn(request, _id(request)):
        upload, offset = await _find(request, _id(request))
        if number_of_bytes(request, "Upload-Offset") != offset:
            raise Problem(409, "offset-mismatch", f"the offset of the upload is {offset}")
        upload = await _with_length(request, upload, offset)
        offset = await receive(request, upload, offset)
        headers = {"Upload-Offset": str(offset)} | await _state(parts, upload)
        await _complete_whole(parts, upload, offset)
    return web.Response(status=204, headers=headers)


@routes.delete(f"{PATH}/{{upload_id}}", responses={204: None}, problems=(404, 409, 412))
async def end_tus(request: web.Request) -> web.Response:
    """Cancel a resumable upload and delete its bytes."""
    require_version(request)
    async with _turn(request, _id(request)):
        upload, _ = await _find(request, _id(request))
        await asyncio.to_thread(tus_folder(services(request)).remove, upload.id)
        LOCKS.note_removed(upload.owner)
    return web.Response(status=204, headers=HEADERS)


_OVERRIDES: dict[str, Handler] = {"HEAD": show_tus_upload, "PATCH": continue_tus, "DELETE": end_tus}


@routes.post(
    f"{PATH}/{{upload_id}}",
    body=(BYTES_TYPE,),
    responses={200: None, 204: None},
    problems=(400, 404, 405, 408, 409, 412, 413, 415, 460, 503, 507),
)
async def override_tus(request: web.Request) -> web.StreamResponse:
    """Do what `X-HTTP-Method-Override` says: HEAD, PATCH or DELETE, for clients that can send GET and POST only."""
    handler = _OVERRIDES.get(request.headers.get("X-HTTP-Method-Override", "").upper())
    if handler is None:
        raise Problem(405, "method-not-allowed", "method not allowed", {"Allow": ",".join(_OVERRIDES)})
    return await handler(request)


async def _with_length(request: web.Request, upload: TusUpload, offset: int) -> TusUpload:
    """The upload with the length that was deferred, if it is told now. Raises Problem: 400, 413."""
    if upload.size_bytes is not None or "Upload-Length" not in request.headers:
        return upload
    size_bytes, most = number_of_bytes(request, "Upload-Length"), services(request).settings.web.max_upload_bytes
    if size_bytes > most:
        raise Problem(413, "upload-too-large", f"the upload has {size_bytes} bytes; at most {most} are allowed", CLOSE)
    if size_bytes < offset:
        raise Problem(400, "invalid-header", f"Upload-Length is less than the {offset} bytes that were received")
    return await asyncio.to_thread(tus_folder(services(request)).set_size, upload, size_bytes)


async def _complete_whole(parts: Services, upload: TusUpload, offset: int) -> None:
    if upload.is_whole(offset):
        await complete(parts, upload)


def _id(request: web.Request) -> str:
    return request.match_info["upload_id"]


async def _find(request: web.Request, upload_id: str) -> tuple[TusUpload, int]:
    state = await asyncio.to_thread(tus_folder(services(request)).find, upload_id)
    if state is None or not caller_of(request).sees(state[0].owner):
        raise not_found("upload")
    return state


async def _finished(request: web.Request) -> dict[str, str] | None:
    """Headers of an upload that has become a job; None of any other."""
    upload = await finished_upload(request, _id(request))
    if upload is None:
        return None
    return _ids(upload) | dict.fromkeys(("Upload-Offset", "Upload-Length"), str(upload.size_bytes))


@contextlib.asynccontextmanager
async def _turn(request: web.Request, upload_id: str) -> AsyncIterator[None]:
    await _find(request, upload_id)  # before a request of another owner could end it
    try:
        async with LOCKS.locked(tus_folder(services(request)), upload_id):
            yield
    except FileNotFoundError as error:
        raise not_found("upload") from error


async def _state(parts: Services, upload: TusUpload) -> dict[str, str]:
    expires = await asyncio.to_thread(tus_folder(parts).expires_at, upload.id)
    return _ids(upload) | {"Upload-Expires": formatdate(expires, usegmt=True)}


def _described(upload: TusUpload, offset: int) -> dict[str, str]:
    length = {"Upload-Defer-Length": "1"} if upload.size_bytes is None else {"Upload-Length": str(upload.size_bytes)}
    concat = "partial" if upload.partial else upload.concat
    optional = {"Upload-Metadata": upload.metadata, "Upload-Concat": concat}
    return {"Upload-Offset": str(offset), **length, **{name: text for name, text in optional.items() if text}}


def _ids(upload: TusUpload) -> dict[str, str]:
    job = {} if upload.partial else {"Kinolog-Asset-Id": upload.asset_id, "Kinolog-Job-Id": upload.job_id}
    return HEADERS | job
