"""Submissions: from a request to the command that creates a job, with its ids, owner and hash."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import orjson
from aiohttp import web

from processors.storage.errors import ObjectNotFound, StoreError
from schemas.base import ErrorRecord
from schemas.commands import SubmitJob
from schemas.jobs import Input, Job
from schemas.uploads import UploadCompleted
from streams.ids import derived_id, is_foreign, new_id
from tables.assets import MAX_ASSET_JOBS
from tables.submissions import submission
from web.api.common import read_own_write
from web.api.source_access import DIRECT_FOLDER, may_read, may_see_asset
from web.auth.principal import Principal
from web.http.cursors import WriteCursor
from web.http.problems import Problem, not_found
from web.readmodel import queries
from web.services import Services

_MAX_KEY_CHARS = 255
#: Longest wait for the store, seconds.
_STORE_S = 5.0
_NOT_OPEN = (
    "this object or file does not exist, or this owner may not read it: an operator grants folders to owners with "
    "KINOLOG_STORE__OWNER_PREFIXES"
)
#: Maximum number of jobs of an asset here. Control rejects at MAX_ASSET_JOBS, with a dead letter; the difference leaves
#: space for commands in flight: a whole request of 1,000 items.
MOST_JOBS = MAX_ASSET_JOBS - 1_000


class SubmissionIds(NamedTuple):
    """Ids of a new submission."""

    asset_id: str
    job_id: str
    #: Whether the request has an Idempotency-Key: a repeat gets the same ids.
    repeatable: bool


def submission_ids(request: web.Request, principal: Principal, index: int = 0) -> SubmissionIds:
    """New ids, or those derived from owner, Idempotency-Key and item `index`. Raises Problem (400)."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return SubmissionIds(new_id("asset"), new_id("job"), False)
    if not 1 <= len(key) <= _MAX_KEY_CHARS or not key.isprintable():
        detail = f"an Idempotency-Key must have 1 to {_MAX_KEY_CHARS} printable characters"
        raise Problem(400, "invalid-idempotency-key", detail)
    parts = ("idempotency", principal.owner or "", key, str(index))
    return SubmissionIds(derived_id("asset", *parts), derived_id("job", *parts), True)


def owner_for(principal: Principal, requested: str | None) -> str | None:
    """Owner of a new asset: the caller; only an admin may set another. Raises Problem (403)."""
    if requested is None or requested == principal.owner:
        return principal.owner
    if principal.role != "admin":
        raise Problem(403, "forbidden", "only an admin may submit for another owner")
    return requested


async def owner_of_submission(
    parts: Services, principal: Principal, requested: str | None, asset_id: str | None
) -> str | None:
    """Owner of a new job. An admin's job of an existing asset is the asset owner's, as the asset is.

    Raises Problem: 403; 409 for an admin who names another owner than the asset's, or an id that another owner chose
    for an asset that is gone.
    """
    owner = owner_for(principal, requested)
    if principal.role != "admin" or asset_id is None:
        return owner
    known = await read_own_write(parts, principal, "assets", asset_id, queries.asset_owner)
    if known is None and is_foreign(asset_id, owner):
        raise Problem(409, "asset-of-another-owner", f"{asset_id} is an id that another owner chose, and is not in use")
    if known is None or known[0] == owner:
        return owner
    if requested is not None:
        raise Problem(409, "asset-of-another-owner", f"the asset {asset_id} does not belong to {requested}")
    return known[0]


def fingerprint(*parts: object) -> str:
    """sha256 of a submission: distinguishes a repeat from another body with the same Idempotency-Key."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def submit_command(parts: Services, upload: UploadCompleted, new_ids: SubmissionIds, body_hash: str) -> SubmitJob:
    """Build the command that creates the job. Raises Refused."""
    return submission(
        upload,
        job_id=new_ids.job_id,
        asset_id=upload.asset_id or new_ids.asset_id,
        pipelines=parts.pipelines,
        default_pipeline=parts.settings.default_pipeline,
        input_roots=parts.settings.store.input_roots,
        now=parts.clock.best(),
        body_hash=body_hash,
    )


async def require_own_sources(
    parts: Services, principal: Principal, submitted: SubmitJob, new_ids: SubmissionIds
) -> None:
    """Raise Problem (404) for an asset or source that the caller may not use."""
    if principal.role == "admin":
        return
    is_new = submitted.asset_id == new_ids.asset_id and not new_ids.repeatable
    if not is_new and not await may_see_asset(parts, principal, submitted.asset_id, if_absent=True):
        raise not_found("asset")
    if not await may_read(parts, principal, submitted.input):
        raise Problem(404, "not-found", _NOT_OPEN)


async def require_acceptable(parts: Services, submitted: SubmitJob, new_ids: SubmissionIds) -> None:
    """Reject what control would reject, and a direct upload that is too large. Raises Problem, StoreError.

    410 for the key of a deleted job, 409 for one job too many, 413.
    """
    await require_not_deleted(parts, new_ids)
    await _require_direct_size(parts, submitted.input)
    is_new = submitted.asset_id == new_ids.asset_id and not new_ids.repeatable
    if not is_new and not await parts.model.read(queries.may_have_job, submitted.asset_id, submitted.job_id, MOST_JOBS):
        raise too_many_jobs()


async def _require_direct_size(parts: Services, source: Input) -> None:
    """Raise Problem (413) for a direct upload above the limit: its bytes did not pass here. Raises StoreError."""
    most = parts.settings.web.max_upload_bytes
    if source.object is None or not source.object.startswith(f"{DIRECT_FOLDER}/"):
        return
    try:
        async with asyncio.timeout(_STORE_S):
            size_bytes = (await parts.store.head(source.object)).size_bytes
    except ObjectNotFound:  # its job says so, as for every source
        return
    except TimeoutError as error:
        raise StoreError("the store does not answer") from error
    if size_bytes > most:
        raise Problem(413, "upload-too-large", f"the upload has {size_bytes} bytes; at most {most} are allowed")


async def require_not_deleted(parts: Services, new_ids: SubmissionIds) -> None:
    """Raise Problem (410) for the Idempotency-Key of a deleted job, which cannot be restored."""
    if new_ids.repeatable and await parts.model.read(queries.is_deleted, new_ids.job_id):
        raise _deleted()


def _refused(job: Job) -> Problem:
    error = job.error or ErrorRecord(code="refused", message="refused")
    return Problem(409, "submission-refused", f"{error.code}: {error.message}")


def _deleted() -> Problem:
    detail = "the job of this Idempotency-Key was deleted: submit again with a new key"
    return Problem(410, "key-of-deleted-job", detail)


def too_many_jobs() -> Problem:
    """409 for one job too many of an asset."""
    detail = f"the asset has {MOST_JOBS} jobs or more: delete some of them first, or submit a new asset"
    return Problem(409, "too-many-jobs", detail)


async def submit(
    parts: Services, submitted: Sequence[SubmitJob], *, repeatable: bool
) -> tuple[WriteCursor, list[Problem | None]]:
    """Write the commands; with an Idempotency-Key, wait to see whether they were the first with their ids.

    Returns their cursor, and for each its problem or None. Raises Problem (503).
    """
    cursor = await parts.commands.send(submitted)
    if not repeatable:
        return cursor, [None] * len(submitted)
    await parts.position.until(lambda: parts.position.has_applied("jobs", cursor), parts.settings.web.after_timeout_s)
    return cursor, [await _refusal(parts, one) for one in submitted]


async def _refusal(parts: Services, submitted: SubmitJob) -> Problem | None:
    """The problem of a written submission; None when its job was created or existed already."""
    job = await parts.model.read(queries.job, submitted.job_id)
    if job is None and await parts.model.read(queries.is_deleted, submitted.job_id):
        return _deleted()
    return key_reused(submitted, job) or (_refused(job) if job is not None and job.refused else None)


def key_reused(submitted: SubmitJob, job: Job | None) -> Problem | None:
    """409 when the ids belong to a job of another body."""
    if job is None or job.body_hash == submitted.body_hash:
        return None
    return Problem(409, "idempotency-key-reused", "this Idempotency-Key was used with a different body: use a new one")
