"""A resumable upload that has all its bytes becomes a job."""

import asyncio
from pathlib import Path

from schemas.commands import SubmitJob
from schemas.jobs import Input
from schemas.uploads import UploadCompleted
from web.api.uploads.submissions import SubmissionIds, fingerprint, submit_command
from web.readmodel import queries
from web.services import Services
from web.upload_staging.tus_locks import TusLocks
from web.upload_staging.tus_storage import TusStorage, TusUpload

#: Fields of a submission that an upload's metadata may set.
METADATA_FIELDS = ("filename", "pipeline", "passthrough")

#: Uploads that requests of this process are adding to.
LOCKS = TusLocks()


def tus_folder(parts: Services) -> TusStorage:
    """The folder of resumable uploads."""
    settings = parts.settings.web
    folder = Path(settings.tus_dir) if settings.tus_dir else parts.settings.data_path / "web" / "tus"
    return TusStorage(folder, settings.tus_expire_s, parts.clock.now_or_none)


def submission_of(parts: Services, upload: TusUpload) -> SubmitJob:
    """The command that creates the upload's job: the same each time. Raises Refused."""
    submitted = UploadCompleted(
        input=Input(object=f"uploads/{upload.asset_id}/source"),
        owner=upload.owner,
        **{name: getattr(upload, name) for name in METADATA_FIELDS},
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
    LOCKS.note_finished(upload)
    LOCKS.note_removed(upload.owner)
    await asyncio.to_thread(folder.remove, upload.id)
