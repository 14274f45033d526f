"""/v1/store/gc: delete unreferenced files, such as the staged outputs of an executor that was killed."""

import sqlite3
from collections import defaultdict
from typing import Annotated, NamedTuple

import msgspec
from aiohttp import web
from aiokafka.errors import KafkaError

from processors.storage.bucket_store import BucketStore
from processors.storage.object_store import ObjectStore
from processors.storage.owner_mark import ForeignStore, require_owner
from streams.kafka.installation import this_installation
from web.api.common import data_response, json_body
from web.api.source_access import DIRECT_FOLDER
from web.http.problems import Problem, unavailable
from web.http.routing import Routes
from web.readmodel import queries
from web.services import Services, services
from web.views.models import Answer, View

routes = Routes("Media")

#: Path segments of what is kept or deleted as a whole: an attempt's folder, an upload's file.
_UNITS = {"assets": 4, "uploads": 3}
_MAX_LISTED = 1_000


class CollectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files to collect."""

    #: Report what would be deleted, delete nothing.
    dry_run: bool = False
    #: Minimum age, days: a newer file may not be referenced yet.
    older_than_days: Annotated[float, msgspec.Meta(ge=0)] = 1.0


class Garbage(View, frozen=True, kw_only=True):
    """Unreferenced files; deleted unless it was a dry run."""

    dry_run: bool
    objects: int
    bytes: int
    #: Their folders, at most 1,000.
    prefixes: list[str]
    #: Abandoned multipart uploads to the bucket; null where the store has none or cannot list them.
    multipart_uploads: int | None


class _Unit(NamedTuple):
    """Files that are kept or deleted as a whole."""

    objects: int = 0
    bytes: int = 0
    newest: float = 0.0


class _Rows(NamedTuple):
    """Rows of an asset and its jobs."""

    #: All of them.
    raw: list[bytes]
    #: Jobs that have not ended.
    running: list[bytes]


@routes.post(
    "/v1/store/gc",
    access="admin",
    body=CollectRequest,
    responses={200: Answer[Garbage]},
    problems=(400, 409, 413, 415, 422, 503),
)
async def collect_garbage(request: web.Request) -> web.Response:
    """Delete files of assets that no job or asset references and that are older than a day.

    Abandoned multipart uploads to a bucket are deleted too.
    """
    body: CollectRequest = await json_body(request, CollectRequest)
    parts = services(request)
    if not parts.position.caught_up.is_set():
        raise unavailable("not-ready", "the log is still being read: which files are in use is not known yet", 5)
    await require_own_store(parts)
    older_than_s = body.older_than_days * 86_400
    now = parts.clock.earlier()
    before = now - older_than_s
    garbage = {unit: files for top in _UNITS for unit, files in (await _orphans(parts, top, before)).items()}
    garbage |= await unclaimed_uploads(parts, before)
    bucket = parts.store if isinstance(parts.store, BucketStore) else None
    abandoned = await bucket.multipart_uploads(older_than_s, now) if bucket is not None else None
    if not body.dry_run:
        for unit in garbage:
            await parts.store.delete_prefix(unit)
        if bucket is not None:
            await bucket.abort(abandoned or ())
    return data_response(
        Garbage(
            dry_run=body.dry_run,
            objects=sum(files.objects for files in garbage.values()),
            bytes=sum(files.bytes for files in garbage.values()),
            prefixes=sorted(garbage)[:_MAX_LISTED],
            multipart_uploads=None if abandoned is None else len(abandoned),
        )
    )


async def require_own_store(parts: Services) -> None:
    """Return if the store is this installation's; a new one is marked. Raises Problem (409, 503), StoreError."""
    try:
        has_media = await parts.model.read(queries.has_media)
        await require_owner(parts.store, await this_installation(parts.settings), has_media=has_media)
    except ForeignStore as error:
        raise Problem(409, "store-of-another-installation", str(error)) from error
    except (KafkaError, OSError) as error:
        detail = "the log cannot be reached, so whose the store is cannot be checked"
        raise unavailable("broker-unavailable", detail, 5) from error


async def _orphans(parts: Services, top: str, before: float) -> dict[str, _Unit]:
    """Units that are old enough and unreferenced."""
    units = await _units(parts.store, top)
    by_asset: dict[str, list[str]] = defaultdict(list)
    for unit, files in units.items():
        if files.newest <= before:
            by_asset[unit.split("/")[1]].append(unit)
    orphans: dict[str, _Unit] = {}
    for asset_id, candidates in by_asset.items():
        rows = await parts.model.read(_rows_of, asset_id)
        orphans |= {unit: units[unit] for unit in candidates if not _is_needed(unit, rows)}
    return orphans


async def unclaimed_uploads(parts: Services, before: float) -> dict[str, _Unit]:
    """Direct uploads from before that time that no asset or job references: never submitted, or deleted since."""
    uploads = {
        stored.key: _Unit(1, stored.size_bytes, stored.modified_at.timestamp())
        async for stored in parts.store.walk(DIRECT_FOLDER)
    }
    old = {key: files for key, files in uploads.items() if files.newest <= before}
    named = await parts.model.read(_named_inputs) if old else set()
    return {key: files for key, files in old.items() if key not in named}


async def _units(store: ObjectStore, top: str) -> dict[str, _Unit]:
    units: dict[str, _Unit] = {}
    async for stored in store.walk(top):
        path = stored.key.split("/")
        if len(path) >= _UNITS[top]:
            unit = "/".join(path[: _UNITS[top]])
            files = units.get(unit, _Unit())
            newest = max(files.newest, stored.modified_at.timestamp())
            units[unit] = _Unit(files.objects + 1, files.bytes + stored.size_bytes, newest)
    return units


def _is_needed(unit: str, rows: _Rows) -> bool:
    """Whether a row references the unit, or the attempt that writes it may still be running."""
    lease_id = unit.rpartition("/")[2].partition("-")[2].encode()
    return any(unit.encode() in raw for raw in rows.raw) or any(lease_id and lease_id in raw for raw in rows.running)


def _named_inputs(db: sqlite3.Connection) -> set[str]:
    """Direct uploads that are the input of an asset or job."""
    keys: set[str] = set()
    for table in ("asset_rows", "job_rows"):
        key = "json_extract(CAST(row AS TEXT), '$.input.object')"
        query = f"SELECT {key} FROM {table} WHERE {key} LIKE '{DIRECT_FOLDER}/%'"  # noqa: S608  constant names
        keys |= {key for (key,) in db.execute(query)}
    return keys


def _rows_of(db: sqlite3.Connection, asset_id: str) -> _Rows:
    jobs = db.execute(
        "SELECT row, NOT ended FROM jobs CROSS JOIN job_rows USING (n) WHERE asset_id = ?", (asset_id,)
    ).fetchall()
    asset = db.execute("SELECT row FROM assets CROSS JOIN asset_rows USING (n) WHERE id = ?", (asset_id,)).fetchall()
    return _Rows([row for row, *_ in [*asset, *jobs]], [row for row, running in jobs if running])
