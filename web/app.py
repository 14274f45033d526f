"""The web application: the only place where the parts of a web process are put together."""

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Middleware

from processors.storage.disk_reserve import DiskReserve
from processors.storage.errors import ObjectNotFound, StoreAbsent, StoreError
from processors.storage.object_store import open_store
from streams.data_files import pipelines_dir
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.model_backends.embedding import embeddings
from streams.process.exposure import require_closed
from streams.settings import Settings, SettingsError
from tables.pipelines import load_pipelines
from tables.submissions import Refused
from web.api.documents import add_documents
from web.api.uploads.tus_headers import add_version
from web.auth.access_log import AccessLog
from web.auth.api_tokens import TokenLog
from web.auth.audit import Audit, auditing
from web.auth.browser_requests import browser_guard
from web.auth.middleware import Authenticator, authentication, counted_caller
from web.auth.refused_records import RefusedRecords
from web.auth.row_signatures import RowSigner
from web.auth.signed_calls import SignedCalls
from web.auth.signed_urls import MAX_TTL_S, Signer, signing_keys
from web.auth.signing_keys import SigningKeys
from web.auth.tickets import Tickets
from web.background.tasks import background_tasks
from web.cache.usage import CacheUsage
from web.http.bucket_origin import BucketOrigin
from web.http.concurrency_limit import ConcurrencyLimit
from web.http.fair_semaphore import FairSemaphore
from web.http.metrics import Metrics, measuring
from web.http.middleware import add_cors_headers, compressing, compression_turns, conditional, cors, limits, waiting_for
from web.http.problems import ERROR_TABLE, HTTP_ERRORS, REFUSALS, ErrorTable, Problem, not_found, problems, unavailable
from web.http.requests_at_once import counted, requests_limit, sent
from web.http.routing import add_routes
from web.http.security_headers import add_headers, identified
from web.http.token_bucket import Buckets
from web.live.catch_up import CatchUp
from web.live.changelog_follower import ChangelogFollower
from web.live.control_watch import ControlWatch
from web.live.executor_changes import ExecutorChanges
from web.live.hub import GOING_AWAY, Hub
from web.live.message_limit import MessageLimits
from web.live.progress import Progress
from web.live.progress_follower import ProgressFollower
from web.live.sessions import Sessions
from web.live.store_watch import StoreWatch
from web.readmodel.commands import Commands
from web.readmodel.executors import Executors
from web.readmodel.log_clock import LogClock
from web.readmodel.position import Position
from web.readmodel.read_model import Damaged, ReadModel
from web.route_list import ROUTES
from web.search.index import SearchIndex
from web.search.indexer import Indexer
from web.search.query_embedder import QueryVectors
from web.services import SERVICES, STOPPING, Services
from web.timelines.event_index import EventIndex
from web.timelines.event_indexer import EventIndexer
from web.timelines.event_log import EventLog
from web.upload_staging.journal import Journal
from web.views.encoded import EncodedViews

if TYPE_CHECKING:  # its library is an extra
    from web.cache.shared_usage import SharedCacheUsage

#: Concurrent reads of the log; half of them at most for one caller, who may have so many more waiting.
_LOG_SLOTS, _LOG_QUEUE = 4, 32
#: In this order: the first two are StoreErrors.
_ERRORS: ErrorTable = {
    Refused: lambda error: Problem(422, error.code, str(error)),
    ObjectNotFound: lambda _: not_found("file"),
    StoreAbsent: lambda _: unavailable("store-unavailable", "the object store is not there: /readyz says why", 5),
    StoreError: lambda _: unavailable("store-unavailable", "the object store cannot be reached: try again later", 5),
    Damaged: lambda _: unavailable("read-model-behind", "the jobs are being read from the log: try again", 2),
    **HTTP_ERRORS,
}


def make_app(settings: Settings) -> web.Application:
    """Build the application; its background tasks run while it does.

    Raises InvalidPipeline, ReplicaInUse, SettingsError.
    """
    require_closed(settings)
    parts = make_services(settings)
    app = web.Application(
        middlewares=_middlewares(settings, parts),
        client_max_size=settings.web.max_body_bytes,
    )
    app[SERVICES] = parts
    app[ERROR_TABLE] = _ERRORS
    app[REFUSALS] = Buckets()
    app[STOPPING] = asyncio.Event()
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(add_cors_headers)
    app.on_response_prepare.append(add_version)
    app.on_response_prepare.append(_close_while_stopping)
    app.on_shutdown.append(_close_live_clients)
    app.cleanup_ctx.append(background_tasks)
    add_routes(app, ROUTES)
    add_documents(app)
    return app


def _middlewares(settings: Settings, parts: Services) -> list[Middleware]:
    """The outermost first: what an inner one refuses is still measured, audited and turned into a problem."""
    at_once = requests_limit(settings.web.requests_per_caller)
    return [
        sent(at_once),
        identified,
        measuring(parts.metrics),
        cors(settings.web.cors_origins),
        compressing(compression_turns()),
        conditional,
        auditing(parts.audit, settings.web.trusted_proxies),
        problems,
        browser_guard(settings),
        limits(settings.web),
        authentication(parts.authenticator),
        counted(at_once, lambda request: counted_caller(request, settings.web.trusted_proxies)),
        waiting_for(parts.progress_follower.wait_serving),
    ]


def make_services(settings: Settings) -> Services:
    """Build the parts of the process; none of them runs yet."""
    home = settings.data_path / "web"
    pipelines = load_pipelines(pipelines_dir(settings))
    position, progress = Position(names(settings).commands), Progress()
    model = ReadModel(home / f"{settings.web.replica}.sqlite3", settings.web.live_history, progress.live)
    hub = Hub(position, progress, settings.web.live_queue_bytes)
    auth = settings.auth
    keys = signing_keys(auth.signing_secret, auth.previous_signing_secrets, home / "signing.key")
    access_producer = Producer(settings, f"kinolog-web-{settings.web.replica}-notary")
    signer, audit = RowSigner(keys), Audit(settings, access_producer)
    refused_records = RefusedRecords(names(settings).tokens, audit)
    access = AccessLog(settings, access_producer, signer, refused_records.add)
    tokens, tickets = TokenLog(access), Tickets(keys[0])
    media_keys = SigningKeys(access, keys, max(MAX_TTL_S, settings.cache.url_ttl_s))
    reserve = DiskReserve(settings.limits.disk_reserve_bytes)
    store = open_store(
        settings.store_url, mark="required", public_endpoint=settings.store.public_endpoint, reserve=reserve
    )
    index = SearchIndex(home / f"{settings.web.replica}.search")
    event_index = EventIndex(home / f"{settings.web.replica}.events", settings.web.past_counts_bytes)
    commands = Commands(settings, position)
    clock = LogClock(commands.date)
    authenticator = Authenticator(settings, tokens, tickets, clock.best)
    cache = CacheUsage(clock.now_or_none)
    indexer = Indexer(model, position, store, index)
    executors = Executors(settings, clock.best)
    control = ControlWatch(settings, position, time.monotonic)
    progress_follower = ProgressFollower(settings, model, progress, hub, control.reported)
    return Services(
        settings=settings,
        pipelines=pipelines,
        store=store,
        store_watch=StoreWatch(store),
        reserve=reserve,
        bucket_origin=BucketOrigin(store, redirect=settings.store.redirect),
        model=model,
        position=position,
        progress=progress,
        views=EncodedViews(),
        hub=hub,
        catch_up=CatchUp(model, position, progress, hub, settings.web),
        commands=commands,
        clock=clock,
        follower=ChangelogFollower(
            settings,
            model,
            position,
            progress,
            hub,
            clock=clock,
            listener=indexer,
            before_reading=progress_follower.wait_caught_up,
        ),
        control=control,
        progress_follower=progress_follower,
        events=EventLog(settings, event_index),
        log_slots=FairSemaphore(slots=_LOG_SLOTS, per_caller=_LOG_SLOTS // 2, queue=_LOG_QUEUE),
        event_index=event_index,
        event_indexer=EventIndexer(settings, position, event_index),
        journal=Journal(home / f"{settings.web.replica}.uploads"),
        access=access,
        refused_records=refused_records,
        tokens=tokens,
        signing_keys=media_keys,
        signed_calls=SignedCalls(settings, access_producer, signer),
        tickets=tickets,
        authenticator=authenticator,
        sessions=Sessions(authenticator),
        live_limit=_live_limit(settings),
        live_messages=MessageLimits(),
        audit=audit,
        access_producer=access_producer,
        metrics=Metrics(),
        signer=Signer(media_keys.current, clock.best),
        index=index,
        indexer=indexer,
        query_vectors=QueryVectors(embeddings(settings), settings.embed.query_timeout_s),
        executors=executors,
        executor_changes=ExecutorChanges(executors, hub, progress),
        cache=cache,
        cache_sharing=_cache_sharing(settings, cache),
    )


def _live_limit(settings: Settings) -> ConcurrencyLimit:
    per_caller, total = settings.web.live_per_caller, settings.web.live_connections
    return ConcurrencyLimit("too-many-live-connections", "live connections", per_caller=per_caller, total=total)


def _cache_sharing(settings: Settings, cache: CacheUsage) -> "SharedCacheUsage | None":
    redis = settings.redis
    if redis.url is None:
        return None
    try:
        from web.cache.shared_usage import SharedCacheUsage
    except ImportError as error:
        raise SettingsError('KINOLOG_REDIS__URL: the library is missing: pip install "kinolog[redis]"') from error
    return SharedCacheUsage(redis.url, redis.timeout_s, cache, settings.redis_prefix)


async def _close_while_stopping(request: web.Request, response: web.StreamResponse) -> None:
    """Let clients that keep a connection open find another replica."""
    if request.app[STOPPING].is_set() and response.status != HTTPStatus.SWITCHING_PROTOCOLS:
        response.force_close()
        response.headers["Connection"] = "close"


async def _close_live_clients(app: web.Application) -> None:
    app[SERVICES].hub.close_all(GOING_AWAY, closing=True)
