"""POST /v1/uploads: stores the uploaded bytes and starts their job."""

import hashlib
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from msgspec.structs import replace

from processors.storage.errors import ObjectTooLarge, StoreError
from processors.storage.local_store import LocalStore
from schemas.commands import SubmitJob
from schemas.jobs import Input
from schemas.uploads import UploadCompleted
from tables.submissions import checked_run_at
from web.api.common import data_response
from web.api.uploads.submissions import (
    SubmissionIds,
    fingerprint,
    owner_for,
    require_not_deleted,
    submission_ids,
    submit,
    submit_command,
)
from web.auth.middleware import caller_of
from web.auth.principal import Principal
from web.http.problems import CLOSE, Problem
from web.http.routing import Routes
from web.http.text_repair import is_text, repair_name
from web.http.upload_body import FIELDS, defer_continue, open_upload_body
from web.readmodel import queries
from web.services import Services, services
from web.views.models import Answer, Submitted

log = logging.getLogger("kinolog.web")

routes = Routes("Uploads")


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of an upload; form fields of the same names work too."""

    #: Original file name, for people.
    filename: str | None = None
    #: Name of a pipeline; unset: the default pipeline.
    pipeline: str | None = None
    #: The client's own text, returned with the job; at most 4,096 characters.
    passthrough: str | None = None
    #: high, normal or low: the order among waiting jobs.
    priority: str | None = None
    #: When its job is to start: ISO 8601 with a zone, at most 366 days ahead. Unset: once the upload is complete.
    run_at: str | None = None
    #: Owner of the new asset and job; only admins may set another than their own.
    owner: str | None = None


class Slot(NamedTuple):
    """Destination of one upload, and its caller."""

    parts: Services
    principal: Principal
    ids: SubmissionIds
    #: Key in the store.
    key: str
    #: When the request began: the time to start may come during the upload.
    begun_at: float


@routes.post(
    "/v1/uploads",
    query=UploadQuery,
    body=("application/octet-stream", "multipart/form-data"),
    responses={201: Answer[Submitted]},
    problems=(400, 403, 408, 409, 410, 413, 422, 503, 507),
    idempotent=True,
    expect=defer_continue,
)
async def upload(request: web.Request) -> web.Response:
    """Upload a file and start its job: 201 with its ids. Nothing is left of an incomplete upload."""
    parts, principal = services(request), caller_of(request)
    slot, query = _slot(parts, principal, submission_ids(request, principal)), _query(request)
    _command(slot, query, "")  # whatever can be rejected is rejected before the body
    _require_size(parts, request.content_length)
    await require_not_deleted(parts, slot.ids)
    parts.commands.require_connection()
    entry = await parts.journal.begin(slot.ids.asset_id, slot.key)
    try:
        submitted = await _receive(request, slot, query)
        entry = await parts.journal.submitting(entry)
    except BaseException:
        await _discard(parts, entry, slot.key)
        raise
    return await _submit(slot, submitted, entry)


def _slot(parts: Services, principal: Principal, new_ids: SubmissionIds) -> Slot:
    """A new key for each repeated request: bytes that a job already reads are never overwritten."""
    suffix = f"-{secrets.token_hex(6)}" if new_ids.repeatable else ""
    return Slot(parts, principal, new_ids, f"uploads/{new_ids.asset_id}/source{suffix}", parts.clock.best())


def _query(request: web.Request) -> dict[str, str]:
    """Parse the query parameters. Raises Problem (422) for a text that is not UTF-8; a file name is repaired."""
    pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True, errors="surrogateescape")
    query = {name: repair_name(value) if name == "filename" else value for name, value in pairs}
    for name in FIELDS:
        if not is_text(query.get(name, "")):
            raise Problem(422, "invalid-text", f"the parameter {name!r} is not UTF-8")
    return query


def _require_size(parts: Services, announced: int | None) -> None:
    most = parts.settings.web.max_upload_bytes
    if announced is not None and announced > most:
        raise Problem(413, "upload-too-large", f"the upload has {announced} bytes; at most {most} are allowed", CLOSE)
    if isinstance(parts.store, LocalStore):
        parts.reserve.require(parts.store.root, announced or 0)


def _command(slot: Slot, fields: dict[str, str], digest: str) -> SubmitJob:
    values: dict[str, Any] = {name: fields[name] for name in FIELDS if fields.get(name)}
    values["owner"] = owner_for(slot.principal, values.get("owner"))
    upload = UploadCompleted(input=Input(object=slot.key), **values)
    named = (upload.filename, upload.pipeline, upload.passthrough, upload.owner, digest)
    body_hash = fingerprint("upload", *named, *([upload.run_at] if upload.run_at else []))
    run_at = checked_run_at(upload.run_at, slot.begun_at)
    return replace(submit_command(slot.parts, replace(upload, run_at=None), slot.ids, body_hash), run_at=run_at)


async def _receive(request: web.Request, slot: Slot, query: dict[str, str]) -> SubmitJob:
    """Store the body. With an Idempotency-Key its bytes are hashed, to recognise a repeat."""
    web_settings, digest = slot.parts.settings.web, hashlib.sha256()
    body = await open_upload_body(request, web_settings.upload_stall_s)
    chunks = _hashed(body.chunks, digest) if slot.ids.repeatable else body.chunks
    try:
        await slot.parts.store.put(slot.key, chunks, web_settings.max_upload_bytes)
    except ObjectTooLarge as error:
        detail = f"the upload has more than the allowed {web_settings.max_upload_bytes} bytes; nothing was stored"
        raise Problem(413, "upload-too-large", detail, CLOSE) from error
    named = {"filename": body.name} if body.name else {}
    return _command(slot, named | body.fields | query, digest.hexdigest())


async def _hashed(chunks: AsyncIterator[bytes], digest: "hashlib._Hash") -> AsyncIterator[bytes]:
    async for chunk in chunks:
        digest.update(chunk)
        yield chunk


async def _discard(parts: Services, entry: Path, key: str) -> None:
    try:
        await parts.store.delete_prefix(key)
    except StoreError as error:
        log.warning("incomplete upload cannot be removed", extra={"key": key, "error": str(error)})
        parts.journal.leave(entry)
    else:
        await parts.journal.end(entry)


async def _submit(slot: Slot, submitted: SubmitJob, entry: Path) -> web.Response:
    try:
        cursor, [problem] = await submit(slot.parts, [submitted], repeatable=slot.ids.repeatable)
    except BaseException:
        slot.parts.journal.leave(entry)  # it may have been written: the journal's repair decides
        raise
    await _keep_one(slot, entry)
    if problem is not None:
        raise problem
    return data_response(Submitted(asset_id=submitted.asset_id, job_id=submitted.job_id), status=201, cursor=cursor)


async def _keep_one(slot: Slot, entry: Path) -> None:
    """Keep the bytes of the first upload with an Idempotency-Key, which its job reads; delete the others'.

    A refused job reads none.
    """
    parts = slot.parts
    job = await parts.model.read(queries.job, slot.ids.job_id) if slot.ids.repeatable else None
    if not slot.ids.repeatable or (job is not None and job.input.object == slot.key and not job.refused):
        await parts.journal.end(entry)
    elif job is None and not await parts.model.read(queries.is_deleted, slot.ids.job_id):
        parts.journal.leave(entry)
    else:
        await _discard(parts, entry, slot.key)
