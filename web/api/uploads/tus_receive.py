"""The body of a resumable upload's request -> its folder, in blocks."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from processors.threads import in_thread
from web.api.uploads.tus_completion import LOCKS, tus_folder
from web.api.uploads.tus_headers import Checksum, checksum
from web.http.problems import CLOSE, Problem
from web.services import services
from web.upload_staging.block_writer import write_blocks
from web.upload_staging.tus_locks import ReadTimeout
from web.upload_staging.tus_storage import TusUpload


async def receive(request: web.Request, upload: TusUpload, offset: int) -> int:
    """Append the body; returns the new offset, synced. Bytes received before a broken connection are kept.

    With `Upload-Checksum` all of them are kept or none. Raises Problem: 400, 408, 413, 460 for a wrong checksum.
    """
    expected, folder = checksum(request), tus_folder(services(request))
    if expected is not None:
        return await _receive_verified(request, upload, offset, expected)

    async def write(block: bytearray) -> None:
        await in_thread(folder.append, upload.id, block)

    size_bytes = await _read(request, upload, offset, write)
    await in_thread(folder.sync, upload.id)
    return offset + size_bytes


async def _receive_verified(request: web.Request, upload: TusUpload, offset: int, expected: Checksum) -> int:
    folder, digest = tus_folder(services(request)), hashlib.new(expected.algorithm, usedforsecurity=False)

    def stage(block: bytearray) -> None:
        digest.update(block)
        folder.stage(upload.id, block)

    async def write(block: bytearray) -> None:
        await in_thread(stage, block)

    await asyncio.to_thread(folder.discard_staged, upload.id)
    size_bytes = await _read(request, upload, offset, write)
    if not hmac.compare_digest(digest.digest(), expected.digest):
        raise Problem(460, "checksum-mismatch", "the body differs from its Upload-Checksum: send it again")
    await in_thread(folder.append_staged, upload.id)
    await in_thread(folder.sync, upload.id)
    return offset + size_bytes


async def _read(
    request: web.Request, upload: TusUpload, offset: int, write: Callable[[bytearray], Awaitable[None]]
) -> int:
    """Write the body in blocks; returns its size. Raises Problem: 408, 413."""
    settings, received = services(request).settings.web, 0
    most = (settings.max_upload_bytes if upload.size_bytes is None else upload.size_bytes) - offset

    async def chunks(stall: ReadTimeout) -> AsyncIterator[bytes]:
        nonlocal received
        while chunk := await request.content.readany():
            stall.renew()
            received += len(chunk)
            if received > most:
                raise Problem(413, "upload-too-large", "the body is longer than the upload may be", CLOSE)
            yield chunk

    try:
        async with LOCKS.reading(upload.id, settings.upload_stall_s) as stall:
            await write_blocks(chunks(stall), write)
        return received
    except TimeoutError as error:
        detail = "no data was received for too long, or a newer request took over; received bytes are kept"
        raise Problem(408, "upload-stalled", detail, CLOSE) from error
