"""From a request that creates to a command on the log: ids, hashes, whose it is."""

import hashlib
import time
from collections.abc import Sequence
from typing import NamedTuple

import orjson
from aiohttp import web

from schemas.commands import SubmitJob
from schemas.jobs import Job
from schemas.uploads import UploadCompleted
from streams.ids import derived_id, new_id
from tables.assets import MAX_ASSET_JOBS
from tables.submissions import submission
from web.api.source_access import may_read, may_see_asset
from web.auth.principal import Principal
from web.http.cursors import WriteCursor
from web.http.problems import Problem, not_found
from web.readmodel import queries
from web.services import Services

_MAX_KEY_CHARS = 255
_NOT_OPEN = (
    "this object or file does not exist, or this owner may not read it: an operator grants folders to owners with "
    "KINOLOG_STORE__OWNER_PREFIXES"
)
#: Jobs of one asset from which on no more are taken. Control refuses at MAX_ASSET_JOBS, with a dead letter; the room
#: between is for what is on its way to it: a whole request of 1,000 items.
MOST_JOBS = MAX_ASSET_JOBS - 1_000


class Ids(NamedTuple):
    """What a submission will be called."""

    asset_id: str
    job_id: str
    #: Whether the request has an Idempotency-Key: a repeat finds the same ids.
    repeatable: bool


def ids(request: web.Request, principal: Principal, index: int = 0) -> Ids:
    """New ids, or those that owner and Idempotency-Key always give to item `index`. Raises Problem (400)."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return Ids(new_id("asset"), new_id("job"), False)
    if not 1 <= len(key) <= _MAX_KEY_CHARS or not key.isprintable():
        detail = f"an Idempotency-Key must have 1 to {_MAX_KEY_CHARS} printable characters"
        raise Problem(400, "invalid-idempotency-key", detail)
    parts = ("idempotency", principal.owner or "", key, str(index))
    return Ids(derived_id("asset", *parts), derived_id("job", *parts), True)


def owner_for(principal: Principal, asked: str | None) -> str | None:
    """Whose the new thing will be: one's own; an admin may say whose. Raises Problem (403)."""
    if asked is None or asked == principal.owner:
        return principal.owner
    if principal.role != "admin":
        raise Problem(403, "forbidden", "only an admin may submit for another owner")
    return asked


def fingerprint(*parts: object) -> str:
    """sha256 of what a submission says: tells a repeat from a clash."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def command(parts: Services, upload: UploadCompleted, known: Ids, body_hash: str) -> SubmitJob:
    """The command that creates the job. Raises Refused."""
    return submission(
        upload,
        job_id=known.job_id,
        asset_id=upload.asset_id or known.asset_id,
        pipelines=parts.pipelines,
        default_pipeline=parts.settings.default_pipeline,
        input_roots=parts.settings.store.input_roots,
        now=time.time(),
        body_hash=body_hash,
    )


async def require_own_sources(parts: Services, principal: Principal, wanted: SubmitJob, known: Ids) -> None:
    """Refuse to add to, or read from, what belongs to somebody else. Raises Problem (404)."""
    if principal.role == "admin":
        return
    is_new = wanted.asset_id == known.asset_id and not known.repeatable
    if not is_new and not await may_see_asset(parts, principal, wanted.asset_id, if_absent=True):
        raise not_found("asset")
    if not await may_read(parts, principal, wanted.input):
        raise Problem(404, "not-found", _NOT_OPEN)


async def require_acceptable(parts: Services, wanted: SubmitJob, known: Ids) -> None:
    """Refuse what control would. Raises Problem: 410 for the key of a deleted job, 409 for one job too many."""
    await require_not_deleted(parts, known)
    is_new = wanted.asset_id == known.asset_id and not known.repeatable
    if not is_new and not await parts.model.read(queries.may_have_job, wanted.asset_id, wanted.job_id, MOST_JOBS):
        raise too_many_jobs()


async def require_not_deleted(parts: Services, known: Ids) -> None:
    """Refuse the Idempotency-Key of a job that was deleted: it does not come back. Raises Problem (410)."""
    if known.repeatable and await parts.model.read(queries.is_deleted, known.job_id):
        raise _deleted()


def _deleted() -> Problem:
    detail = "the job of this Idempotency-Key was deleted: submit again with a new key"
    return Problem(410, "key-of-deleted-job", detail)


def too_many_jobs() -> Problem:
    """What is told to whoever submits one job too many of an asset."""
    detail = f"the asset has {MOST_JOBS} jobs or more: delete some of them first, or submit a new asset"
    return Problem(409, "too-many-jobs", detail)


async def submit(
    parts: Services, wanted: Sequence[SubmitJob], *, repeatable: bool
) -> tuple[WriteCursor, list[Problem | None]]:
    """Write the commands; with an Idempotency-Key, wait and see whether they were the first of their name.

    Returns their cursor, and for each what is wrong with it. Raises Problem (503).
    """
    cursor = await parts.commands.send(wanted)
    if not repeatable:
        return cursor, [None] * len(wanted)
    await parts.position.until(lambda: parts.position.has_applied("jobs", cursor), parts.settings.web.after_timeout_s)
    return cursor, [await _refusal(parts, one) for one in wanted]


async def _refusal(parts: Services, wanted: SubmitJob) -> Problem | None:
    """What became of a submission, where it is not the job that it asks for."""
    job = await parts.model.read(queries.job, wanted.job_id)
    if job is None and await parts.model.read(queries.is_deleted, wanted.job_id):
        return _deleted()
    return clash(wanted, job)


def clash(wanted: SubmitJob, job: Job | None) -> Problem | None:
    """What to tell the submitter when the ids are those of another body's job."""
    if job is None or job.body_hash == wanted.body_hash:
        return None
    return Problem(409, "idempotency-key-reused", "this Idempotency-Key was used with a different body: use a new one")
