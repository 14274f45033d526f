"""The parts of a web process that handlers use. Built in web/app.py only."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from processors.storage.disk_reserve import DiskReserve
from processors.storage.object_store import ObjectStore
from streams.kafka.producer import Producer
from streams.settings import Settings
from tables.pipelines import Pipelines
from web.auth.access_log import AccessLog
from web.auth.api_tokens import TokenLog
from web.auth.audit import Audit
from web.auth.middleware import Authenticator
from web.auth.refused_records import RefusedRecords
from web.auth.signed_calls import SignedCalls
from web.auth.signed_urls import Signer
from web.auth.signing_keys import SigningKeys
from web.auth.tickets import Tickets
from web.cache.usage import CacheUsage
from web.http.bucket_origin import BucketOrigin
from web.http.concurrency_limit import ConcurrencyLimit
from web.http.fair_semaphore import FairSemaphore
from web.http.metrics import Metrics
from web.live.catch_up import CatchUp
from web.live.changelog_follower import ChangelogFollower
from web.live.control_watch import ControlWatch
from web.live.executor_changes import ExecutorChanges
from web.live.hub import Hub
from web.live.message_limit import MessageLimits
from web.live.progress import Progress
from web.live.progress_follower import ProgressFollower
from web.live.sessions import Sessions
from web.live.store_watch import StoreWatch
from web.readmodel.commands import Commands
from web.readmodel.executors import Executors
from web.readmodel.log_clock import LogClock
from web.readmodel.position import Position
from web.readmodel.read_model import ReadModel
from web.search.index import SearchIndex
from web.search.indexer import Indexer
from web.search.query_embedder import QueryVectors
from web.timelines.event_index import EventIndex
from web.timelines.event_indexer import EventIndexer
from web.timelines.event_log import EventLog
from web.upload_staging.journal import Journal
from web.views.encoded import EncodedViews

if TYPE_CHECKING:  # its library is an extra
    from web.cache.shared_usage import SharedCacheUsage


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of a web process."""

    settings: Settings
    pipelines: Pipelines
    store: ObjectStore
    store_watch: StoreWatch
    #: Of the local disks.
    reserve: DiskReserve
    bucket_origin: BucketOrigin
    model: ReadModel
    position: Position
    progress: Progress
    views: EncodedViews
    hub: Hub
    catch_up: CatchUp
    commands: Commands
    clock: LogClock
    follower: ChangelogFollower
    control: ControlWatch
    progress_follower: ProgressFollower
    events: EventLog
    #: Slots of requests that read the log.
    log_slots: FairSemaphore
    event_index: EventIndex
    event_indexer: EventIndexer
    journal: Journal
    access: AccessLog
    refused_records: RefusedRecords
    tokens: TokenLog
    signing_keys: SigningKeys
    signed_calls: SignedCalls
    tickets: Tickets
    authenticator: Authenticator
    sessions: Sessions
    live_limit: ConcurrencyLimit
    live_messages: MessageLimits
    audit: Audit
    #: Producer of tokens and the audit.
    access_producer: Producer
    metrics: Metrics
    signer: Signer
    index: SearchIndex
    indexer: Indexer
    query_vectors: QueryVectors
    executors: Executors
    executor_changes: ExecutorChanges
    #: Recent uses of cached media on this replica; safe to lose.
    cache: CacheUsage = field(default_factory=CacheUsage)
    #: Shares those with other replicas over Redis, if configured.
    cache_sharing: "SharedCacheUsage | None" = None


SERVICES = web.AppKey("services", Services)
#: Set once this process is to end.
STOPPING = web.AppKey("stopping", asyncio.Event)


def services(request: web.Request) -> Services:
    """The parts of the process that serves this request."""
    return request.app[SERVICES]
