"""POST /v1/cache-assets: start downloads of remote media, by URL."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from processors.errors import InvalidUrl
from processors.fetch.address_filter import checked_url
from schemas.commands import SubmitJob
from schemas.jobs import CACHE_PIPELINE, Asset, Input
from schemas.uploads import UploadCompleted
from streams.ids import derived_id, new_id
from web.api.cache.routes import MAX_ITEMS, assets_by_id
from web.api.common import data_response, json_body
from web.api.uploads.submissions import MOST_JOBS, SubmissionIds, fingerprint, submit_command, too_many_jobs
from web.auth.middleware import caller_of
from web.auth.principal import Principal
from web.http.cursors import WriteCursor
from web.http.problems import Problem, ProblemView, problem_view
from web.http.routing import Routes
from web.readmodel import queries
from web.services import Services, services
from web.views.models import Answer, View

routes = Routes("Cached media")

#: Statuses in which a repeated request starts no new download.
_ACTIVE = frozenset({"PENDING", "DOWNLOADING", "CACHED"})


class Picture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture of a post."""

    url: str
    width: int | None = None
    height: int | None = None


class Post(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The media of one post, each by its URL."""

    video: str | None = None
    cover: str | None = None
    music: str | None = None
    images: list[Picture | str] = []
    avatar: str | None = None


class CacheRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/cache-assets`: exactly one of the three."""

    url: str | None = None
    #: At most 1,000.
    urls: list[str] | None = None
    post: Post | None = None


class CacheItem(View, frozen=True, kw_only=True):
    """Result for one URL: its id and status, or its error."""

    #: The requested URL.
    url: str
    id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    #: The job that was started for it, when one was.
    job_id: str | UnsetType = UNSET
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    error: ProblemView | UnsetType = UNSET


class PostItems(View, frozen=True, kw_only=True):
    """Results for a post's media."""

    video: CacheItem | None = None
    cover: CacheItem | None = None
    music: CacheItem | None = None
    images: list[CacheItem] = []
    avatar: CacheItem | None = None


class _Request(NamedTuple):
    """One requested URL: the asset of its media, or its problem."""

    url: str
    asset_id: str
    problem: Problem | None


@routes.post(
    "/v1/cache-assets",
    body=CacheRequest,
    # One item for `url`, a list for `urls`, and for `post` an object of items by the part of the post.
    responses={202: Answer[dict[str, Any] | list[CacheItem]]},
    problems=(400, 403, 409, 413, 415, 422, 503),
)
async def add_cache_assets(request: web.Request) -> web.Response:
    """Start downloads of remote media: 202 with ids. The same URL has the same id for as long as it is cached.

    For `url` the response has an item, for `urls` a list of items, for `post` an object with the items of its parts.
    """
    body: CacheRequest = await json_body(request, CacheRequest)
    if sum(kind is not None for kind in (body.url, body.urls, body.post)) != 1:
        raise Problem(422, "invalid-body", "exactly one of url, urls and post is required")
    if body.url is not None:
        [item], cursor = await _add(request, [body.url])
        if item.error is not UNSET:
            raise Problem(item.error.status, item.error.code, item.error.detail)
        return data_response(item, status=202, cursor=cursor)
    if body.urls is not None:
        items, cursor = await _add(request, body.urls)
        return data_response(items, status=202, cursor=cursor)
    assert body.post is not None
    return await _add_post(request, body.post)


async def _add_post(request: web.Request, post: Post) -> web.Response:
    pictures = [Picture(url=one) if isinstance(one, str) else one for one in post.images]
    named = {name: url for name in ("video", "cover", "music", "avatar") if (url := getattr(post, name))}
    items, cursor = await _add(request, [*named.values(), *(picture.url for picture in pictures)])
    images = [
        msgspec.structs.replace(item, **_size(picture))
        for item, picture in zip(items[len(named) :], pictures, strict=True)
    ]
    results = PostItems(**dict(zip(named, items[: len(named)], strict=True)), images=images)
    return data_response(results, status=202, cursor=cursor)


def _size(picture: Picture) -> dict[str, int]:
    return {name: value for name in ("width", "height") if (value := getattr(picture, name)) is not None}


async def _add(request: web.Request, urls: Sequence[str]) -> tuple[list[CacheItem], WriteCursor | None]:
    """Start a download of each URL that is neither cached nor being downloaded."""
    parts, principal = services(request), caller_of(request)
    if not 1 <= len(urls) <= MAX_ITEMS:
        raise Problem(422, "invalid-body", f"a request must have 1 to {MAX_ITEMS} URLs")
    requests = [_request(principal, url) for url in urls]
    existing = await parts.model.read(assets_by_id, [one.asset_id for one in requests])
    failed = [asset.id for asset in existing.values() if asset.status not in _ACTIVE]
    full = await parts.model.read(queries.full_assets, failed, MOST_JOBS) if failed else set[str]()
    requests = [one._replace(problem=too_many_jobs()) if one.asset_id in full else one for one in requests]
    fresh = _to_be_started(parts, principal, requests, existing)
    cursor = await _start(parts, list(fresh.values())) if fresh else None
    return [_item(one, existing.get(one.asset_id), fresh.get(one.asset_id)) for one in requests], cursor


def _request(principal: Principal, text: str) -> _Request:
    try:
        url = str(checked_url(text))
    except InvalidUrl as error:
        return _Request(text, "", Problem(422, "invalid-input", str(error)))
    return _Request(text, derived_id("asset", CACHE_PIPELINE, principal.owner or "", url), None)


def _to_be_started(
    parts: Services, principal: Principal, requests: Sequence[_Request], existing: dict[str, Asset]
) -> dict[str, SubmitJob]:
    fresh: dict[str, SubmitJob] = {}
    for one in requests:
        asset = existing.get(one.asset_id)
        if one.problem is not None or one.asset_id in fresh:
            continue
        is_active = asset is not None and asset.status in _ACTIVE
        parts.cache.lookups.count(principal.owner, hit=asset is not None and asset.status == "CACHED")
        # A job that was written a moment ago, here, is not in the read model yet.
        if not is_active and parts.cache.add(one.asset_id):
            fresh[one.asset_id] = _submission(parts, principal, one)
        elif is_active:
            parts.cache.use(one.asset_id)
    return fresh


def _submission(parts: Services, principal: Principal, one: _Request) -> SubmitJob:
    # A new job each time: after a deletion the old one must not be what a late message finds.
    upload = UploadCompleted(input=Input(url=one.url), pipeline=CACHE_PIPELINE, owner=principal.owner)
    new_ids = SubmissionIds(one.asset_id, new_id("job"), False)
    return submit_command(parts, upload, new_ids, fingerprint(CACHE_PIPELINE, one.url))


async def _start(parts: Services, jobs: list[SubmitJob]) -> WriteCursor:
    try:
        return await parts.commands.send(jobs)
    except BaseException:
        for job in jobs:
            parts.cache.forget(job.asset_id)
        raise


def _item(one: _Request, asset: Asset | None, started: SubmitJob | None) -> CacheItem:
    if one.problem is not None:
        return CacheItem(url=one.url, error=problem_view(one.problem))
    status = asset.status if asset is not None and started is None else "PENDING"
    return CacheItem(
        url=one.url, id=one.asset_id, status=status, job_id=started.job_id if started is not None else UNSET
    )
