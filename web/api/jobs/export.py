"""GET /v1/jobs/export: the whole list of jobs as one stream, JSON or CSV."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET

from schemas.jobs import Job
from web.api.common import wait_for_cursor
from web.api.jobs.listing import JOBS, JobsQuery, live_view, require_known_pipeline
from web.auth.middleware import caller_of
from web.http.problems import Problem
from web.http.routing import Routes
from web.readmodel import queries
from web.readmodel.changelog import duration_s
from web.readmodel.list_query import Listing, parse
from web.services import Services, services

routes = Routes("Jobs")

#: Jobs that are read and encoded at a time.
_BATCH = 500
_COLUMNS = (
    *("id", "asset_id", "pipeline", "status", "progress", "current_step", "run", "owner", "filename", "passthrough"),
    *("created_at", "updated_at", "started_at", "finished_at", "duration_s", "error_code", "error_message"),
    "warnings",
)
#: First characters that a spreadsheet treats as a formula. Source: OWASP, CSV Injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TYPES = {"csv": "text/csv", "json": "application/json"}

_encode = msgspec.json.Encoder().encode


class ExportQuery(JobsQuery, frozen=True, kw_only=True):
    """Query parameters of the export: the list's filters. It has all jobs, the oldest first."""

    #: "csv" or "json".
    format: str = "json"


@routes.get(
    "/v1/jobs/export",
    query=ExportQuery,
    responses={200: "application/json, text/csv"},
    problems=(400, 503),
    head=False,
)
async def export_jobs(request: web.Request) -> web.StreamResponse:
    """Export all jobs that match the filters, the oldest first: `{"data": […]}`, or CSV with a header row."""
    query = dict(request.query)
    kind = query.pop("format", "json")
    if kind not in _TYPES:
        raise Problem(400, "invalid-format", "format must be csv or json")
    for name in ("sort", "limit", "cursor"):
        if name in query:
            raise Problem(400, "unknown-parameter", f"an export has no {name}: it has all jobs, the oldest first")
    scope, parts = caller_of(request).scope, services(request)
    listing = parse(query, JOBS, scope)
    await wait_for_cursor(request, "jobs")
    await require_known_pipeline(parts, listing, scope)
    response = web.StreamResponse(
        headers={"Content-Type": _TYPES[kind], "Content-Disposition": f'attachment; filename="jobs.{kind}"'}
    )
    await response.prepare(request)
    async for text in _csv(parts, listing) if kind == "csv" else _json(parts, listing):
        await response.write(text)
    await response.write_eof()
    return response


async def _json(parts: Services, listing: Listing) -> AsyncIterator[bytes]:
    yield b'{"data": ['
    first = True
    async for jobs in _encoded(parts, listing, _as_json):
        yield jobs if first else b"," + jobs
        first = False
    yield b"]}\n"


async def _csv(parts: Services, listing: Listing) -> AsyncIterator[bytes]:
    yield _lines([_COLUMNS])
    async for lines in _encoded(parts, listing, _as_csv):
        yield lines


async def _encoded(
    parts: Services, listing: Listing, encode: Callable[[Services, Sequence[Job]], bytes]
) -> AsyncIterator[bytes]:
    """Yield batches, read and encoded in a reader's thread."""
    after = (-1.0, "")
    while batch := await parts.model.read(_batch, parts, listing, after, encode):
        after, text = batch
        yield text


def _batch(
    db: Any,
    parts: Services,
    listing: Listing,
    after: tuple[float, str],
    encode: Callable[[Services, Sequence[Job]], bytes],
) -> tuple[tuple[float, str], bytes] | None:
    jobs = queries.matching_jobs(db, listing, after, _BATCH)
    return ((jobs[-1].created_at, jobs[-1].id), encode(parts, jobs)) if jobs else None


def _as_json(parts: Services, jobs: Sequence[Job]) -> bytes:
    return b",".join(_encode(live_view(job, parts.progress)) for job in jobs)


def _as_csv(parts: Services, jobs: Sequence[Job]) -> bytes:
    return _lines([_cells(job, live_view(job, parts.progress)) for job in jobs])


def _cells(job: Job, view: Any) -> list[str]:
    error = job.error
    extra = {"error_code": error.code, "error_message": error.message} if error else {}
    extra["warnings"] = " ".join(f"{warning.step}:{warning.code}" for warning in view.warnings)
    extra["duration_s"] = "" if (took_s := duration_s(job)) is None else f"{took_s:.3f}"
    return [_cell(extra.get(name, getattr(view, name, UNSET))) for name in _COLUMNS]


def _cell(value: Any) -> str:
    if value is None or value is UNSET:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
