"""What the handlers of one process work with, made in web/app.py and nowhere else."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from processors.storage.object_store import Store
from streams.kafka.producer import Producer
from streams.settings import Settings
from tables.pipelines import Pipelines
from web.audit import Audit
from web.auth import Door
from web.bucket_origin import BucketOrigin
from web.cache_desk import CacheDesk
from web.commands import Commands
from web.control_watch import ControlWatch
from web.event_index import EventIndex
from web.event_indexer import EventIndexer
from web.event_log import EventLog
from web.follower import Follower
from web.hub import Hub
from web.indexer import Indexer
from web.journal import Journal
from web.log_clock import LogClock
from web.metrics import Metrics
from web.position import Position
from web.progress import Progress
from web.progress_follower import ProgressFollower
from web.query_vectors import QueryVectors
from web.queue_executors import QueueExecutors
from web.read_model import ReadModel
from web.search_index import SearchIndex
from web.sessions import Sessions
from web.signing import Signer
from web.tickets import Tickets
from web.token_log import TokenLog

if TYPE_CHECKING:  # its library is an extra
    from web.cache_sharing import CacheSharing


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of a web process."""

    settings: Settings
    pipelines: Pipelines
    store: Store
    bucket_origin: BucketOrigin
    model: ReadModel
    position: Position
    progress: Progress
    hub: Hub
    commands: Commands
    clock: LogClock
    follower: Follower
    control: ControlWatch
    progress_follower: ProgressFollower
    events: EventLog
    event_index: EventIndex
    event_indexer: EventIndexer
    journal: Journal
    tokens: TokenLog
    tickets: Tickets
    door: Door
    sessions: Sessions
    audit: Audit
    #: Writes what concerns access: tokens and the audit.
    notary: Producer
    metrics: Metrics
    signer: Signer
    index: SearchIndex
    indexer: Indexer
    query_vectors: QueryVectors
    queue_executors: QueueExecutors
    #: What this replica remembers of cached media; safe to lose.
    cache: CacheDesk = field(default_factory=CacheDesk)
    #: Between that and the other replicas, where there is Redis.
    cache_sharing: "CacheSharing | None" = None


SERVICES = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """The parts of the process that answers this request."""
    return request.app[SERVICES]
