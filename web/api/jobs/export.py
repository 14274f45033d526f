"""GET /v1/jobs/export: the whole list of jobs as one stream, JSON or CSV."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from schemas.jobs import Job
from streams.kafka.envelope import iso_time
from tables.job_warnings import job_warnings
from web.api.common import wait_for_cursor
from web.api.jobs.listing import JOBS, JobsQuery, require_known_pipeline, row_view
from web.auth.middleware import caller_of
from web.http.problems import Problem
from web.http.routing import Routes
from web.readmodel import queries
from web.readmodel.changelog import duration_s, job_rows
from web.readmodel.job_progress import Live, job_progress
from web.readmodel.list_query import Listing, parse
from web.readmodel.read_shares import in_shares
from web.services import Services, services
from web.views.build import current_step, percent

routes = Routes("Jobs")

#: Jobs that are read and encoded at a time.
_BATCH = 500
#: The first row of a CSV.
CSV_COLUMNS = (
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
    def encode(rows: Sequence[bytes]) -> bytes:
        return _encode([row_view(row, parts) for row in in_shares(rows)])[1:-1]  # without the brackets of the array

    yield b'{"data": ['
    first = True
    async for jobs in _encoded(parts, listing, encode):
        yield jobs if first else b"," + jobs
        first = False
    yield b"]}\n"


async def _csv(parts: Services, listing: Listing) -> AsyncIterator[bytes]:
    def encode(rows: Sequence[bytes]) -> bytes:
        jobs = (job_rows.decode(row) for row in in_shares(rows))
        return _lines([csv_cells(job, parts.progress.live(job.id, job.run)) for job in jobs])

    yield _lines([CSV_COLUMNS])
    async for lines in _encoded(parts, listing, encode):
        yield lines


async def _encoded(
    parts: Services, listing: Listing, encode: Callable[[Sequence[bytes]], bytes]
) -> AsyncIterator[bytes]:
    """Yield batches, read and encoded in a reader's thread."""
    after = (-1.0, "")
    while batch := await parts.model.read(_batch, listing, after, encode):
        after, text = batch
        yield text


def _batch(
    db: Any, listing: Listing, after: tuple[float, str], encode: Callable[[Sequence[bytes]], bytes]
) -> tuple[tuple[float, str], bytes] | None:
    rows = queries.matching_rows(db, listing, after, _BATCH)
    return (rows[-1][:2], encode([row for _, _, row in rows])) if rows else None


def csv_cells(job: Job, live: Live) -> list[str]:
    """Cells of a job's row: the values of its view, which takes longer to build."""
    error, took_s = job.error, duration_s(job)
    cells = (
        *(job.id, job.asset_id, job.pipeline, job.status, percent(job_progress(job, live)), current_step(job)),
        *(job.run, job.owner, job.filename, job.passthrough),
        *(None if at is None else iso_time(at) for at in _times(job)),
        "" if took_s is None else f"{took_s:.3f}",
        *((error.code, error.message) if error else (None, None)),
        " ".join(f"{warning.step}:{warning.code}" for warning in job_warnings(job)),
    )
    return [_cell(cell) for cell in cells]


def _times(job: Job) -> tuple[float | None, ...]:
    return job.created_at, job.updated_at, job.started_at, job.finished_at


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
