"""The Faust app of control and executors: measured settings, fatal send errors, and a bounded start and stop.

Set the event loop before an app is created (`new_loop`): touching Faust's monitor earlier hangs the start for ever.
"""

import asyncio
import contextlib
import functools
import logging
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn

import faust
import uvloop
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.sensors import Monitor
from faust.types import TP

from streams.cluster import Cluster, KafkaSecurity
from streams.kafka.batch_sender import MAX_BATCH_BYTES, BatchSender
from streams.kafka.log_time import log_time
from streams.kafka.outbox import Outbox
from streams.kafka.retry import retry_forever
from streams.kafka.topic_versions import ends_of_existing
from streams.kafka.topics import names
from streams.process import closed_streams
from streams.process.exit import EX_CONFIG, EX_SOFTWARE, end_process
from streams.process.folders import is_refusal
from streams.process.interpreter import collect_rarely
from streams.process.watchdog import LoopBeat, Watchdog
from streams.settings import Settings
from streams.settings.log import Watchdog as Limits
from streams.worker import patch_delivery
from streams.worker.commit_offsets import add_skipped
from streams.worker.continuity import Continuity
from streams.worker.hang_probes import watches
from streams.worker.quarantine import Quarantine, count_crash, is_about_content, position_of
from streams.worker.topic_ids import TopicIds

_DAY_S = 86_400
#: Timeout of a stop, seconds; then the process exits anyway, and nothing is lost.
STOP_TIMEOUT_S = 8.0
#: Timeout of delivering pending records before an exit, seconds.
_FLUSH_S = 3.0


class FatalMonitor(Monitor):
    """A Faust monitor that exits the process when a send fails: the record would be lost silently."""

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:  # noqa: ARG002 - Faust's signature
        """Exit with EX_SOFTWARE."""
        end_process(EX_SOFTWARE, "message not delivered", error=repr(exc))


class KinologApp(faust.App):
    """A Faust app with the continuity check and two senders, whose commits wait for the deliveries of both."""

    #: Bootstrap servers, "host:port[,…]".
    cluster: Cluster
    continuity: Continuity
    #: Crash counts of records.
    quarantine: Quarantine
    #: Ids of the topics that it reads.
    topic_ids: TopicIds
    #: Topics of which all partitions are read, also added ones.
    growing_topics: frozenset[str]
    #: Groups events into records.
    outbox: Outbox
    #: Groups records into batches.
    batch_sender: BatchSender
    #: Number of started and of finished commits.
    commits_begun = commits_ended = 0
    #: For the watchdog: whether records may stay unread for now.
    may_wait: Callable[[], bool] = staticmethod(lambda: False)
    #: Awaited before the app starts.
    prepare: Callable[[], Awaitable[None]] | None = None
    #: Whether that is done.
    is_prepared = True
    #: The broker's time, seconds since the epoch.
    log_time: Callable[[], Awaitable[float]]
    #: Writes the applied offsets, if reading starts from them.
    write_watermarks: Callable[[], Awaitable[None]] | None = None

    def _create_directories(self) -> None:
        """Create no folder: tables are in memory. Faust's folder would be in the working directory."""

    async def before_commit(self) -> None:
        """Deliver everything that was sent because of the offsets that are about to be committed."""
        await self.outbox.flush()
        await self.kafka_producer.flush()

    @property
    def is_reading(self) -> bool:
        """Whether records reach the agents: partitions are assigned and tables recovered."""
        app: Any = self  # Faust's types hide these attributes
        return bool(app.consumer.flow_active and not app.rebalancing and not app.tables.recovery.in_recovery)

    async def exit_over_record(self, message: Any, error: BaseException) -> NoReturn:
        """Exit because of a record. All earlier records of its partition must have been handled."""
        position, committed = position_of(message), None
        with contextlib.suppress(Exception):  # undelivered offsets are not committed
            async with asyncio.timeout(_FLUSH_S):
                await self.commit_all()
                await self.before_commit()
                committed = position.offset
        if is_about_content(error):
            count_crash(self.consumer, position, repr(error), committed)
        end_process(EX_SOFTWARE, "record not handled", error=repr(error))

    async def log_ends(self, sources: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Offset after the last record of each partition that exists. Waits for the broker."""
        parts = [TopicPartition(*source) for source in sources]
        if not parts:
            return {}
        ends = await retry_forever("log ends", lambda: ends_of_existing(self.cluster, parts))
        return {(part.topic, part.partition): end for part, end in ends.items()}

    async def commit_all(self) -> None:
        """Commit everything that was handled, so that the next process does not repeat it."""
        if self.write_watermarks is not None:
            await self.write_watermarks()
        await self.consumer.commit()

    def exit_hung(self, code: int, reason: str, **facts: Any) -> NoReturn:
        """Exit because the process hangs. Called from the watchdog's thread."""
        if self.quarantine.handled is not None:
            count_crash(self.consumer, self.quarantine.handled, reason)
        end_process(code, reason, **facts)

    def pass_skipped(self) -> Iterable[TP]:
        """Move claims and commits past offsets without records where no record follows. Returns the partitions whose
        applied offsets are in rows.
        """
        passed = self.continuity.pass_skipped()
        for tp, (start, end) in passed.items():
            add_skipped(self.consumer, tp, start, end)
            if self.continuity.is_in_rows(tp):
                self.continuity.claim(tp.topic, tp.partition, end - 1)
        return [tp for tp in passed if self.continuity.is_in_rows(tp)]

    @property
    def kafka_producer(self) -> Any:
        """aiokafka's producer; set once the app has started."""
        return self.producer._producer  # type: ignore[attr-defined]  # of the aiokafka driver

    async def send_record(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        """Hand a record to aiokafka; the result resolves when the broker has it. A failure exits the process."""
        delivery = await self.kafka_producer.send(topic, value, key=key, partition=partition, headers=headers)
        delivery.add_done_callback(_require_delivery)
        return delivery  # type: ignore[no-any-return]  # aiokafka is untyped


def _require_delivery(delivery: asyncio.Future[Any]) -> None:
    if not delivery.cancelled() and (error := delivery.exception()) is not None:
        _undelivered(error)


def _undelivered(error: BaseException) -> NoReturn:
    end_process(EX_SOFTWARE, "record not delivered", error=repr(error))


def _undelivered_because_of(app: KinologApp, error: BaseException, cause: Any) -> NoReturn:
    """Exit because a record that was sent while handling the record `cause` was refused."""
    if cause is not None and is_about_content(error):
        count_crash(app.consumer, cause, repr(error))
    _undelivered(error)


def new_loop() -> asyncio.AbstractEventLoop:
    """Create a uvloop and set it as this thread's loop. Call before any app is created."""
    collect_rarely()
    closed_streams.install()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def make_app(settings: Settings, app_id: str, instance_id: str) -> KinologApp:
    """An app in the consumer group `app_id`. `instance_id` must be unique and locked: two processes with the same id
    would both go on silently (static membership, KIP-345: a killed worker is back in 1.8 s instead of 5.5).
    """
    patch_delivery.install()
    app = KinologApp(
        app_id,
        broker=[f"kafka://{address}" for address in settings.bootstrap.split(",")],
        broker_client_id=instance_id,
        **_broker_credentials(settings.kafka.security),
        consumer_group_instance_id=instance_id,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.kafka.session_timeout_s,
        broker_heartbeat_interval=min(1.0, settings.kafka.session_timeout_s / 4),
        broker_request_timeout=max(30.0, settings.kafka.session_timeout_s),
        broker_rebalance_timeout=30,
        broker_max_poll_interval=7 * _DAY_S,  # enforced by the client alone, and it can hang a worker for ever
        broker_max_poll_records=500,
        broker_commit_interval=1.0,
        broker_commit_every=1000,
        broker_commit_livelock_soft_timeout=_DAY_S,
        stream_processing_timeout=_DAY_S,
        stream_buffer_maxsize=32_768,
        stream_wait_empty=True,
        stream_recovery_delay=0,
        table_standby_replicas=0,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.kafka.replication_factor,
        topic_allow_declare=False,  # `topics apply` creates them; a missing one is an error
        topic_disable_leader=True,
        producer_acks=-1,
        producer_linger=0,
        producer_max_batch_size=MAX_BATCH_BYTES,
        producer_request_timeout=60,  # rides out a broker's restart
        store="memory://",
        web_enabled=False,
        worker_redirect_stdouts=False,
        Monitor=FatalMonitor,
    )
    app.cluster = settings.cluster
    app.log_time = functools.partial(log_time, settings, instance_id)
    app.continuity = Continuity()
    app.outbox = Outbox(app.send_record)
    app.quarantine, app.topic_ids = Quarantine(), TopicIds()
    app.growing_topics = frozenset({names(settings).uploads})
    app.batch_sender = BatchSender(
        lambda: app.kafka_producer,
        functools.partial(_undelivered_because_of, app),
        cause=lambda: app.quarantine.handled,
    )
    return app


def _broker_credentials(security: KafkaSecurity) -> dict[str, Any]:
    context = security.tls_context()
    if security.is_authenticated:
        credentials = faust.SASLCredentials(
            username=security.username, password=security.password, ssl_context=context, mechanism=security.mechanism
        )
        return {"broker_credentials": credentials}
    return {"ssl_context": context} if context else {}


def run(
    app: KinologApp,
    loop: asyncio.AbstractEventLoop,
    limits: Limits,
    *,
    before_stop: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Run `app` until SIGINT or SIGTERM (0), a crash (70) or a hang (77). `before_stop` runs before the stop."""
    beat = LoopBeat()
    beating = loop.create_task(beat.run(), name="loop beat")
    Watchdog(watches(app, beat, limits), app.exit_hung).start()
    try:
        return loop.run_until_complete(_run(app, before_stop))
    finally:
        beating.cancel()
        logging.shutdown()


async def _run(app: KinologApp, before_stop: Callable[[], Awaitable[None]] | None) -> int:
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    app.finalize()
    await _start(app, signalled)
    waits = [asyncio.ensure_future(event.wait()) for event in (signalled, app._crashed, app._stopped)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if not signalled.is_set():
        end_process(EX_SOFTWARE, "app crashed", error=repr(app.crash_reason))
    if before_stop is not None:
        await before_stop()
    try:
        await asyncio.wait_for(app.stop(), STOP_TIMEOUT_S)
    except TimeoutError:
        end_process(0, "app not stopped in time", timeout_s=STOP_TIMEOUT_S)
    await _cancel_rest()
    return 0


async def _start(app: KinologApp, signalled: asyncio.Event) -> None:
    """Start the app. A signal meanwhile exits at once: there is nothing to stop yet."""
    starting, stopping = asyncio.ensure_future(_prepare_and_start(app)), asyncio.ensure_future(signalled.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        end_process(0, "stopped while starting")
    stopping.cancel()
    if error := starting.exception():  # the supervisor decides about a restart
        text = f"{type(error).__name__}: {error}".removeprefix("KafkaConnectionError: ")
        end_process(*why_not_started(error), bootstrap=app.cluster.bootstrap, error=text)


async def _prepare_and_start(app: KinologApp) -> None:
    if app.prepare is not None:
        app.is_prepared = False
        await app.prepare()
        app.is_prepared = True
    await app.start()


def why_not_started(error: BaseException) -> tuple[int, str]:
    """Exit code and reason for an app that could not start."""
    if isinstance(error, KafkaError):
        return EX_SOFTWARE, "cannot start: the broker is unreachable or refuses"
    if is_refusal(error):
        return EX_CONFIG, "cannot start: a path is not writable"
    return EX_SOFTWARE, "cannot start"


async def _cancel_rest() -> None:
    """Cancel the remaining tasks, so that the interpreter does not complain about them."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=1.0)
