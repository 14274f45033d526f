"""Faust apps as kinolog needs them: settings that were measured, fatal sends, a bounded life.

Set the event loop before an app is made (`new_loop`): touching Faust's monitor earlier hangs start-up for ever.
"""

import asyncio
import contextlib
import functools
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn

import faust
import uvloop
from aiokafka.errors import KafkaError
from faust.sensors import Monitor
from faust.types import TP

from streams.kafka.batch_sender import MAX_BATCH_BYTES, Departures
from streams.kafka.outbox import Outbox
from streams.process.exit import EX_CONFIG, EX_SOFTWARE, end_process
from streams.process.folders import is_refusal
from streams.process.watchdog import LoopBeat, Watchdog
from streams.settings import Settings
from streams.settings import Watchdog as Limits
from streams.worker import patch_delivery
from streams.worker.commit_offsets import add_skipped
from streams.worker.continuity import Continuity
from streams.worker.hang_probes import watches
from streams.worker.quarantine import Quarantine, count_end, is_about_content, place_of

_DAY_S = 86_400
#: Seconds that a stopping app is given before the process ends anyway; nothing is lost, it is only rude.
STOP_TIMEOUT_S = 8.0
#: Seconds that an ending process waits for what it has sent.
_FLUSH_S = 3.0


class FatalMonitor(Monitor):
    """A send that failed would be a silent hole: it ends the process."""

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:  # noqa: ARG002 - Faust's signature
        """Ends the process with EX_SOFTWARE."""
        end_process(EX_SOFTWARE, "a message could not be delivered", error=repr(exc))


class KinologApp(faust.App):
    """A Faust app with the continuity check, two ways out, and a commit that waits for both."""

    #: Where the log is, "host:port[,…]".
    bootstrap: str
    continuity: Continuity
    #: How often records have ended this process.
    quarantine: Quarantine
    #: Groups events into records.
    outbox: Outbox
    #: Groups records into batches.
    departures: Departures
    #: Commits that were begun, and that came to an end.
    commits_begun = commits_ended = 0
    #: Whether records may stand unread for now, with good reason; the watchdog asks.
    may_wait: Callable[[], bool] = staticmethod(lambda: False)
    #: Writes down how far the log is applied, where reading starts from that.
    write_claims: Callable[[], Awaitable[None]] | None = None

    def _create_directories(self) -> None:
        """Nothing: tables are kept in memory, so Faust needs no folder. Its own would be in the working directory."""

    async def before_commit(self) -> None:
        """Everything said because of the offsets about to be committed is on the broker."""
        await self.outbox.flush()
        await self.kafka_producer.flush()

    @property
    def is_reading(self) -> bool:
        """Whether records reach the agents: the partitions are shared out, and the tables recovered."""
        app: Any = self  # Faust's types hide what is asked for here
        return bool(app.consumer.flow_active and not app.rebalancing and not app.tables.recovery.in_recovery)

    async def end_over(self, message: Any, error: BaseException) -> NoReturn:
        """End the process because of a record. All before it of its partition must have been handled."""
        place, committed = place_of(message), None
        with contextlib.suppress(Exception):  # what is not on the broker is not committed
            async with asyncio.timeout(_FLUSH_S):
                await self.commit_all()
                await self.before_commit()
                committed = place.offset
        if is_about_content(error):
            count_end(self.consumer, place, repr(error), committed)
        end_process(EX_SOFTWARE, "a record could not be handled", error=repr(error))

    async def commit_all(self) -> None:
        """Let the next process start behind everything that was handled: what it need not read it cannot repeat."""
        if self.write_claims is not None:
            await self.write_claims()
        await self.consumer.commit()

    def end_hung(self, code: int, reason: str, **facts: Any) -> NoReturn:
        """End the process because it hangs. Called by the watchdog, from its thread."""
        if self.quarantine.in_hand is not None:
            count_end(self.consumer, self.quarantine.in_hand, reason)
        end_process(code, reason, **facts)

    def pass_skipped(self) -> Iterable[TP]:
        """Let claims and commits go on behind offsets that hold nothing, where no record follows; the partitions."""
        passed = self.continuity.pass_skipped()
        for tp, (start, end) in passed.items():
            self.continuity.claim(tp.topic, tp.partition, end - 1)
            add_skipped(self.consumer, tp, start, end)
        return passed

    @property
    def kafka_producer(self) -> Any:
        """aiokafka's own producer; there is one once the app has started."""
        return self.producer._producer  # type: ignore[attr-defined]  # of the aiokafka driver

    async def send_record(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        """Hand one record to aiokafka; the answer resolves when the broker has it. A failed one ends the process."""
        delivery = await self.kafka_producer.send(topic, value, key=key, partition=partition, headers=headers)
        delivery.add_done_callback(_require_delivery)
        return delivery  # type: ignore[no-any-return]  # aiokafka is untyped


def _require_delivery(delivery: asyncio.Future[Any]) -> None:
    if not delivery.cancelled() and (error := delivery.exception()) is not None:
        _undelivered(error)


def _undelivered(error: BaseException) -> NoReturn:
    end_process(EX_SOFTWARE, "a record could not be delivered", error=repr(error))


def _undelivered_because_of(app: KinologApp, error: BaseException, cause: Any) -> NoReturn:
    """What was sent while the record `cause` was handled was refused."""
    if cause is not None and is_about_content(error):
        count_end(app.consumer, cause, repr(error))
    _undelivered(error)


def new_loop() -> asyncio.AbstractEventLoop:
    """Make a uvloop and set it as this thread's loop. Before any app is made.

    Modules that are loaded stay: the collector need not look at them again, nor at every 700th short-lived message
    (measured: a tenth of control's time).
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def make_app(settings: Settings, app_id: str, instance_id: str) -> KinologApp:
    """An app in the consumer group `app_id`. `instance_id` is unique and locked: two live processes with one id both
    go on, silently (static membership, KIP-345: a killed worker is back in 1.8 s instead of 5.5).
    """
    patch_delivery.install()
    app = KinologApp(
        app_id,
        broker=[f"kafka://{address}" for address in settings.bootstrap.split(",")],
        broker_client_id=instance_id,
        consumer_group_instance_id=instance_id,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.kafka.session_timeout_s,
        broker_heartbeat_interval=min(1.0, settings.kafka.session_timeout_s / 4),
        broker_request_timeout=max(30.0, settings.kafka.session_timeout_s),
        broker_rebalance_timeout=30,
        broker_max_poll_interval=7 * _DAY_S,  # the client alone enforces it, and it can hang a worker for ever
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
        topic_allow_declare=False,  # `topics apply` creates them, so a missing one is an error and no guess
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
    app.bootstrap = settings.bootstrap
    app.continuity = Continuity()
    app.outbox = Outbox(app.send_record)
    app.quarantine = Quarantine()
    app.departures = Departures(
        lambda: app.kafka_producer,
        functools.partial(_undelivered_because_of, app),
        cause=lambda: app.quarantine.in_hand,
    )
    return app


def run(
    app: KinologApp,
    loop: asyncio.AbstractEventLoop,
    limits: Limits,
    *,
    before_stop: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Run `app` until SIGINT or SIGTERM (0), a crash (70) or a hang (77). `before_stop` runs while the app is whole."""
    beat = LoopBeat()
    beating = loop.create_task(beat.run(), name="loop beat")
    Watchdog(watches(app, beat, limits), app.end_hung).start()
    try:
        return loop.run_until_complete(_run(app, before_stop))
    finally:
        beating.cancel()
        logging.shutdown()


async def _run(app: KinologApp, before_stop: Callable[[], Awaitable[None]] | None) -> int:
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    app.finalize()
    await _start(app, asked)
    waits = [asyncio.ensure_future(event.wait()) for event in (asked, app._crashed, app._stopped)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if not asked.is_set():
        end_process(EX_SOFTWARE, "the app crashed", error=repr(app.crash_reason))
    if before_stop is not None:
        await before_stop()
    try:
        await asyncio.wait_for(app.stop(), STOP_TIMEOUT_S)
    except TimeoutError:
        end_process(0, "the app did not stop in time", timeout_s=STOP_TIMEOUT_S)
    await _cancel_rest()
    return 0


async def _start(app: KinologApp, asked: asyncio.Event) -> None:
    """Start the app. Who is asked to end meanwhile has done nothing yet that needs an orderly end."""
    starting, asking = asyncio.ensure_future(app.start()), asyncio.ensure_future(asked.wait())
    await asyncio.wait({starting, asking}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        end_process(0, "asked to end while the app was starting")
    asking.cancel()
    if error := starting.exception():  # whatever it is, there is no app: the supervisor decides
        end_process(*why_not_started(error), bootstrap=app.bootstrap, error=f"{type(error).__name__}: {error}")


def why_not_started(error: BaseException) -> tuple[int, str]:
    """Exit code and reason for an app that could not start."""
    if isinstance(error, KafkaError):
        return EX_SOFTWARE, "the app could not start: the broker cannot be reached, or refuses"
    if is_refusal(error):
        return EX_CONFIG, "the app could not start: a path is not writable"
    return EX_SOFTWARE, "the app could not start"


async def _cancel_rest() -> None:
    """What Faust and we left waiting for ever ends here, not as a complaint of the interpreter's."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=1.0)
