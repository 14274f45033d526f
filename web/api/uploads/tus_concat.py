"""Final uploads of tus: one upload made of partial ones, which clients send in parallel."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from streams.ids import derived_id
from web.api.uploads.tus_completion import (
    LOCKS,
    METADATA_FIELDS,
    complete,
    finished_upload,
    submission_of,
    tus_folder,
    tus_job_id,
)
from web.api.uploads.tus_headers import metadata
from web.auth.middleware import caller_of
from web.http.problems import CLOSE, Problem, not_found
from web.services import services
from web.upload_staging.tus_storage import TusUpload


async def concatenate(request: web.Request, ids: Sequence[str]) -> TusUpload:
    """Join partial uploads and start the job. A repeat is the same upload, also once the partial ones are gone.

    Raises Problem: 404 for an unknown partial upload, 409 for an incomplete one, 413.
    """
    parts, owner = services(request), caller_of(request).owner
    upload_id = derived_id("tus", owner or "", *ids)
    partials = await _partials(request, ids)
    fields = metadata(request.headers.get("Upload-Metadata", ""))
    named: dict[str, Any] = {name: fields[name] for name in METADATA_FIELDS if fields.get(name)}
    final = TusUpload(
        id=upload_id,
        size_bytes=sum(partial.size_bytes or 0 for partial in partials or ()),
        asset_id=derived_id("asset", upload_id),
        job_id=tus_job_id(upload_id),
        owner=owner,
        metadata=request.headers.get("Upload-Metadata"),
        concat=request.headers["Upload-Concat"],
        **named,
    )
    if partials is None:
        if (finished := await finished_upload(request, upload_id)) is None:
            raise not_found("partial upload")
        return finished
    _require_size(parts.settings.web.max_upload_bytes, final)
    submission_of(parts, final)  # whatever can be rejected is rejected before the bytes are copied
    parts.commands.require_connection()
    await _join(request, final, partials)
    return final


async def _join(request: web.Request, final: TusUpload, partials: Sequence[TusUpload]) -> None:
    """Copy the bytes and start the job; then the partial uploads are removed. Killed in between, a repeat does it."""
    parts, folder = services(request), tus_folder(services(request))
    ids = [partial.id for partial in partials]
    LOCKS.incomplete[final.owner] += 1
    await asyncio.to_thread(folder.create, final)
    try:
        async with LOCKS.locked(folder, final.id):
            await asyncio.to_thread(folder.join, final, ids)
            await complete(parts, final)
    except FileNotFoundError as error:  # a repeat of this request has completed it, or a partial upload was deleted
        if await finished_upload(request, final.id) is None:
            raise not_found("partial upload") from error
    for partial in partials:
        await asyncio.to_thread(folder.remove, partial.id)
        LOCKS.note_removed(partial.owner)


async def _partials(request: web.Request, ids: Sequence[str]) -> list[TusUpload] | None:
    """The partial uploads, in order; None if one is missing. Raises Problem (409) for one that cannot be joined."""
    folder, caller = tus_folder(services(request)), caller_of(request)
    found = [await asyncio.to_thread(folder.find, an_id) for an_id in ids]
    uploads = [state[0] for state in found if state is not None and caller.sees(state[0].owner)]
    if len(uploads) < len(ids):
        return None
    if not all(state is not None and state[0].partial and state[0].size_bytes == state[1] for state in found):
        raise Problem(409, "upload-incomplete", "only partial uploads that are complete can be joined")
    return uploads


def _require_size(most: int, final: TusUpload) -> None:
    if (final.size_bytes or 0) > most:
        raise Problem(413, "upload-too-large", f"the upload has {final.size_bytes} bytes; {most} are allowed", CLOSE)
