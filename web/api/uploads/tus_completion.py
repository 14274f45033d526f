"""A resumable upload that has all its bytes becomes a job."""

import asyncio
from pathlib import Path

from aiohttp import web

from processors.storage.errors import ObjectNotFound
from schemas.commands import SubmitJob
from schemas.jobs import Input
from schemas.uploads import UploadCompleted
from streams.settings import Settings
from web.api.common import visible_job
from web.api.uploads.submissions import SubmissionIds, fingerprint, submit_command
from web.auth.middleware import caller_of
from web.http.problems import Problem
from web.readmodel import queries
from web.services import Services, services
from web.upload_staging.tus_locks import TusLocks
from web.upload_staging.tus_storage import TusStorage, TusUpload

#: Fields of a submission that an upload's metadata may set.
METADATA_FIELDS = ("filename", "pipeline", "passthrough", "priority")

#: Uploads that requests of this process are adding to.
LOCKS = TusLocks()


def tus_job_id(upload_id: str) -> str:
    """Id of the job of an upload: any replica finds the job of a finished upload by it."""
    return f"job_{upload_id.removeprefix('tus_')}"


async def finished_upload(request: web.Request, upload_id: str) -> TusUpload | None:
    """An upload that has become a job of the caller's; None if there is no such job.

    Waits until the job is visible if this process has just submitted it. Raises Problem (503).
    """
    try:
        job = await visible_job(request, caller_of(request), tus_job_id(upload_id))
        if job.input.object is None or not job.input.object.startswith("uploads/"):
            return None
        size_bytes = (await services(request).store.head(job.input.object)).size_bytes
        return TusUpload(id=upload_id, size_bytes=size_bytes, asset_id=job.asset_id, job_id=job.id, owner=job.owner)
    except (Problem, ObjectNotFound) as error:
        if isinstance(error, Problem) and error.status != 404:
            raise
        return None


def tus_path(settings: Settings) -> Path:
    """Path of the folder of resumable uploads."""
    return Path(settings.web.tus_dir) if settings.web.tus_dir else settings.data_path / "web" / "tus"


def tus_folder(parts: Services) -> TusStorage:
    """The folder of resumable uploads."""
    expire_s = parts.settings.web.tus_expire_s
    return TusStorage(tus_path(parts.settings), expire_s, parts.clock.now_or_none, parts.reserve)


def submission_of(parts: Services, upload: TusUpload) -> SubmitJob:
    """The command that creates the upload's job: the same each time. Raises Refused."""
    submitted = UploadCompleted(
        input=Input(object=f"uploads/{upload.asset_id}/source"),
        owner=upload.owner,
        **{name: value for name in METADATA_FIELDS if (value := getattr(upload, name)) is not None},
    )
    return submit_command(
        parts, submitted, SubmissionIds(upload.asset_id, upload.job_id, False), fingerprint("tus", upload.id)
    )


async def complete(parts: Services, upload: TusUpload) -> None:
    """Put the bytes into the store and start the job. A repeat is harmless: the ids are the same. Raises Problem."""
    submitted, folder = submission_of(parts, upload), tus_folder(parts)
    path = await asyncio.to_thread(folder.link_data, upload.id)
    if path is None:
        return
    if await parts.model.read(queries.is_deleted, upload.job_id):  # its replica was killed before it removed the folder
        await asyncio.to_thread(folder.remove, upload.id)
        return
    await parts.store.put_file(path, submitted.input.object or "")
    await parts.commands.send([submitted])
    LOCKS.note_removed(upload.owner)
    await asyncio.to_thread(folder.remove, upload.id)
