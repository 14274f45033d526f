"""/v1/assets: submit media by reference, list and show assets, and create playback URLs."""

import asyncio
from typing import get_args

import msgspec
from aiohttp import web

from processors.storage.errors import StoreError
from schemas.commands import SubmitJob
from schemas.jobs import Asset, AssetStatus, Input
from schemas.uploads import UploadCompleted
from streams.kafka.envelope import iso_time
from tables.submissions import Refused
from web.api.asset_ids import submitted_asset_id
from web.api.common import AfterQuery, base_url, data_response, json_body, visible_asset, wait_for_cursor
from web.api.paging import page
from web.api.uploads.submissions import (
    fingerprint,
    owner_of_submission,
    require_acceptable,
    require_own_sources,
    submission_ids,
    submit,
    submit_command,
)
from web.auth.middleware import caller_of
from web.auth.principal import Principal
from web.auth.signed_urls import MAX_TTL_S
from web.http.problems import ERROR_TABLE, Problem, as_problem, problem_view
from web.http.routing import Routes
from web.readmodel.changelog import asset_rows
from web.readmodel.list_query import SORTS, ListQuery, ListSpec, parse
from web.services import services
from web.views.build import asset_view, caption_keys, master_key, media_url, poster_key, storyboard_key
from web.views.models import Answer, AssetView, Page, Playback, Submitted, SubmittedItem

ASSETS = ListSpec("assets", frozenset(get_args(AssetStatus)), frozenset(), SORTS)

#: Most assets in one request.
MAX_ITEMS = 1_000
#: Items of a list that are checked concurrently: each direct upload costs a request to the store.
_AT_ONCE = 16
_DEFAULT_TTL_S = 3600


routes = Routes("Assets")


class NewAsset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item of `POST /v1/assets`."""

    #: Exactly one of object, url, path.
    input: Input
    #: Id of an asset of yours, which gets another job, or an id of your choice: the new asset's full id is in the
    #: response, and both find it. Unset: a new one.
    asset_id: str | None = None
    #: Original file name, for people.
    filename: str | None = None
    #: Name of a pipeline; unset: the default pipeline.
    pipeline: str | None = None
    #: The client's own text, returned with the job; at most 4,096 characters.
    passthrough: str | None = None
    #: high, normal or low: the order among waiting jobs.
    priority: str = "normal"
    #: When the job is to start: ISO 8601 with a zone, at most 366 days ahead. Unset: at once.
    run_at: str | None = None
    #: Owner of the new asset and job; only admins may set another than their own.
    owner: str | None = None


class PlaybackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/assets/{id}/playback`."""

    #: Validity of the URLs, seconds, 1 to 604,800.
    ttl_s: int = _DEFAULT_TTL_S


class AssetsQuery(ListQuery, frozen=True, kw_only=True):
    """Query parameters of the list of assets."""

    #: Only assets with one of these statuses, separated by commas: UPLOADED, PROCESSING, READY, FAILED; cached media is
    #: PENDING, DOWNLOADING, CACHED or FAILED.
    status: str | None = None


@routes.post(
    "/v1/assets",
    body=NewAsset | list[NewAsset],
    responses={202: Answer[Submitted | list[SubmittedItem]]},
    problems=(400, 403, 404, 409, 410, 413, 415, 422, 503),
    idempotent=True,
)
async def submit_assets(request: web.Request) -> web.Response:
    """Submit one or many assets; each starts a job: 202. For a list, each item has its ids or its own error."""
    principal, body = caller_of(request), await json_body(request, NewAsset | list[NewAsset])
    if isinstance(body, NewAsset):
        return await _submit_one(request, principal, body)
    if not 1 <= len(body) <= MAX_ITEMS:
        raise Problem(422, "invalid-body", f"a list must have 1 to {MAX_ITEMS} items")
    return await _submit_list(request, principal, body)


async def _submit_one(request: web.Request, principal: Principal, item: NewAsset) -> web.Response:
    submitted = await _command(request, principal, item, 0)
    cursor, [problem] = await submit(services(request), [submitted], repeatable="Idempotency-Key" in request.headers)
    if problem is not None:
        raise problem
    return data_response(Submitted(asset_id=submitted.asset_id, job_id=submitted.job_id), status=202, cursor=cursor)


async def _submit_list(request: web.Request, principal: Principal, items: list[NewAsset]) -> web.Response:
    results: list[SubmitJob | Problem] = []
    for start in range(0, len(items), _AT_ONCE):
        chunk = enumerate(items[start : start + _AT_ONCE], start)
        results += await asyncio.gather(*(_result(request, principal, item, index) for index, item in chunk))
    accepted = [result for result in results if isinstance(result, SubmitJob)]
    if not accepted:
        return data_response([_item(result, None) for result in results], status=202)
    cursor, problems = await submit(services(request), accepted, repeatable="Idempotency-Key" in request.headers)
    clashes = {submitted.job_id: problem for submitted, problem in zip(accepted, problems, strict=True)}
    views = [_item(result, clashes.get(result.job_id) if isinstance(result, SubmitJob) else None) for result in results]
    return data_response(views, status=202, cursor=cursor)


async def _result(request: web.Request, principal: Principal, item: NewAsset, index: int) -> SubmitJob | Problem:
    try:
        return await _command(request, principal, item, index)
    except (Problem, Refused, StoreError) as error:
        return as_problem(error, request.app[ERROR_TABLE]) or Problem(422, "invalid-body", str(error))


def _item(result: SubmitJob | Problem, clash: Problem | None) -> SubmittedItem:
    problem = result if isinstance(result, Problem) else clash
    if problem is not None:
        return SubmittedItem(status=problem.status, error=problem_view(problem))
    assert isinstance(result, SubmitJob)
    return SubmittedItem(status=202, asset_id=result.asset_id, job_id=result.job_id)


async def _command(request: web.Request, principal: Principal, item: NewAsset, index: int) -> SubmitJob:
    parts, new_ids = services(request), submission_ids(request, principal, index)
    fields = {name: value for name, value in msgspec.structs.asdict(item).items() if value is not None}
    asset_id = await submitted_asset_id(parts, principal, item.asset_id)
    owner = await owner_of_submission(parts, principal, item.owner, asset_id)
    upload = UploadCompleted(**fields | {"owner": owner, "asset_id": asset_id})
    submitted = submit_command(parts, upload, new_ids, fingerprint("asset", msgspec.to_builtins(upload)))
    await require_own_sources(parts, principal, submitted, new_ids)
    await require_acceptable(parts, submitted, new_ids)
    return submitted


@routes.get("/v1/assets", query=AssetsQuery, responses={200: Page[AssetView]}, problems=(400, 503))
async def list_assets(request: web.Request) -> web.Response:
    """List assets, the newest first by default."""
    listing = parse(request.query, ASSETS, caller_of(request).scope)
    await wait_for_cursor(request, "assets")
    base = base_url(request)
    return await page(request, listing, lambda row: asset_view(asset_rows.decode(row), base))


@routes.get(
    "/v1/assets/{asset_id}", query=AfterQuery, responses={200: Answer[AssetView]}, problems=(400, 404, 503), etag=True
)
async def show_asset(request: web.Request) -> web.Response:
    """Show an asset."""
    asset = await visible_asset(request, caller_of(request), request.match_info["asset_id"])
    return data_response(asset_view(asset, base_url(request)))


@routes.post(
    "/v1/assets/{asset_id}/playback",
    access="viewer",
    query=AfterQuery,
    body=PlaybackRequest,
    responses={200: Answer[Playback]},
    problems=(400, 404, 413, 415, 422, 503),
)
async def play_asset(request: web.Request) -> web.Response:
    """Create signed URLs for a player; null where nothing is published yet."""
    body: PlaybackRequest = await json_body(request, PlaybackRequest)
    if not 1 <= body.ttl_s <= MAX_TTL_S:
        raise Problem(422, "invalid-body", f"ttl_s must be a number from 1 to {MAX_TTL_S}")
    asset = await visible_asset(request, caller_of(request), request.match_info["asset_id"])
    signer = services(request).signer
    expires = signer.expiry(body.ttl_s)
    signed = base_url(request) + signer.prefix(asset.id, expires)
    return data_response(_playback(asset, signed, expires))


def _playback(asset: Asset, base: str, expires: int) -> Playback:
    captions = [media_url(asset.id, key, base) for key in caption_keys(asset)]
    return Playback(
        status=asset.status,
        base_url=f"{base}/{asset.id}/",
        master_url=media_url(asset.id, master_key(asset.outputs), base),
        poster_url=media_url(asset.id, poster_key(asset), base),
        storyboard_url=media_url(asset.id, storyboard_key(asset), base),
        captions=[path for path in captions if path is not None],
        expires_at=iso_time(expires),
    )
