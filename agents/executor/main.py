"""media.step-requests.<step> -> the step's processor -> media.step-events, media.progress

Accepts, acknowledges, then works: the work never sits inside the consumer's poll path.
"""

import asyncio
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.errors import KafkaError

from agents.executor.attempts import AttemptResources
from agents.executor.capacity import CpuBudget, PausedQueues, Slots
from agents.executor.control_follower import ControlTail
from agents.executor.identity import ExecutorName, claim
from agents.executor.lanes import DEFAULT_LANE, processor_of, slots_of, steps_of
from agents.executor.priorities import Precedence
from agents.executor.removals import add_removals_agent
from agents.executor.reports import StepReporter
from agents.executor.requests import InvalidRequest, RequestPuller, requests_of
from agents.executor.running import RunningAttempts, StepRuntime
from agents.executor.scratch import Scratch
from agents.executor.sources import Sources
from processors.media.profiles import ProfileError
from processors.storage.object_store import open_store
from processors.storage.read_cache import LocalCache
from processors.toolbox import make_toolbox
from processors.tools.limits import Limits
from schemas.base import ErrorRecord
from schemas.jobs import PRIORITIES, Priority
from schemas.step_events import LeaseRevoked
from schemas.steps import StepKind
from streams.kafka.dead_letters import dead_letter
from streams.kafka.executor_groups import group_of, leave_outdated
from streams.kafka.outbox import Outbox
from streams.kafka.producer import Producer
from streams.kafka.topics import names, request_line
from streams.process import logs, sd_notify
from streams.process.exit import EX_CONFIG, EX_SOFTWARE, end_process
from streams.process.folders import require_data_dir, require_store
from streams.process.locks import NameTaken
from streams.settings import Settings, SettingsError
from streams.worker.app import KinologApp, make_app, new_loop, run

log = logging.getLogger(__name__)

#: Between looks at what is due; a heartbeat is late by this much at most.
_TICK_S = 0.25
#: For what is on its way to the broker when the process ends.
_FLUSH_S = 3.0


def main(settings: Settings, lane: str) -> int:
    """Run the steps of a lane until SIGTERM. Returns the exit code: 0, 2 for wrong settings, 70 when in doubt."""
    logs.configure(settings, "executor")
    loop = new_loop()
    try:
        require_data_dir(settings)
        require_store(settings)
        kinds = steps_of(settings, lane)
        name = claim(settings, lane)
        executor = Executor(settings, name, kinds)
    except (SettingsError, ProfileError) as error:
        log.critical(str(error))
        return EX_CONFIG
    except NameTaken as error:
        log.critical(str(error))
        return EX_SOFTWARE
    app = make_app(settings, group_of(lane), name.instance_id)
    executor.join(app, lane)
    loop.run_until_complete(leave_outdated(settings.bootstrap, group_of(lane), name.instance_id, executor.subscribed))
    return run(app, loop, settings.watchdog, before_stop=executor.drain)


class Executor:
    """Everything that one executor process consists of, wired up. Nothing runs or connects before its app starts."""

    def __init__(self, settings: Settings, name: ExecutorName, kinds: list[StepKind]) -> None:
        self._settings, self._name, self._topics = settings, name, names(settings)
        self._producer = Producer(settings, name.instance_id)
        outbox = Outbox(self._producer.send)
        self._voice = StepReporter(outbox, self._topics, settings.partitions, name.instance_id, _fatal)
        self._stations = stations(settings, kinds, scratch_of(settings, name.name))
        self._valves = PausedQueues(kind.name for kind in kinds)
        self._bench = bench(settings, name.name)
        self._roster = RunningAttempts(self._stations, self._bench, self._voice, settings.lease.heartbeat_s)
        self._tail = ControlTail(
            settings,
            self._topics.control,
            name.instance_id,
            on_revoke=self._revoke,
            on_queue=self._valves.turn,
            on_unusable=self._bury,
        )
        self._opened, self._assigned = asyncio.Event(), asyncio.Event()
        self._closing = False
        #: Topics of requests and orders that this executor subscribes to.
        self.subscribed: list[str] = []
        self._background: list[asyncio.Task[None]] = []

    def join(self, app: KinologApp, lane: str) -> None:
        """Add the agents to `app`, and what begins with it. The default lane removes what is deleted, too."""
        self._app = app
        app.may_wait = self._may_wait
        app.task(self._begin)
        app.on_partitions_assigned.connect(self._note_assignment)
        for station in self._stations.values():
            precedence = Precedence()
            for priority in PRIORITIES:
                self._add_agent(app, station, priority, precedence)
        if lane == DEFAULT_LANE:
            self.subscribed.append(self._topics.removals)
            add_removals_agent(app, self._settings, self._bench.store, self._producer.deliver)

    async def drain(self) -> None:
        """Stop accepting, let running work end, release the rest. Takes `executor.drain_s` and 7 s at most."""
        self._closing = True
        self._app.flow_control.suspend()
        self._app.consumer.stop_flow()
        log.info("draining", extra={"attempts": len(self._roster)})
        await self._roster.drain(self._settings.executor.drain_s)
        for task in self._background:
            task.cancel()
        await self._producer.stop(_FLUSH_S)

    async def _begin(self) -> None:
        """Everything that must stand before the first request is accepted. An error ends the process."""
        await self._bench.scratch.sweep()
        await self._bench.sources.sweep()
        try:
            await self._producer.start(self._topics.step_events, self._topics.progress)
        except KafkaError as error:
            _fatal("the executor could not start; is the broker there?", error=repr(error))
        self._keep_running(self._tail.run())
        self._keep_running(self._tick())
        await self._tail.positioned.wait()
        self._opened.set()
        await self._assigned.wait()
        sd_notify.ready()
        log.info(
            "executor ready",
            extra={"executor": self._name.name, "steps": ",".join(self._stations), "cpus": self._bench.budget.cpus},
        )

    def _may_wait(self) -> bool:
        """Whether some requests are not taken on purpose: no room, a paused queue, a broker that is away."""
        full = any(not station.slots.free for station in self._stations.values()) or not self._bench.budget.is_free
        shut = not all(self._valves.is_open(step) for step in self._stations)
        return full or shut or self._closing or self._voice.unheard or not self._opened.is_set()

    def _note_assignment(self, *_: Any, **__: Any) -> None:
        self._assigned.set()

    def _keep_running(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_require_cancelled)
        self._background.append(task)

    async def _tick(self) -> None:
        while True:
            self._roster.tick()
            await asyncio.sleep(_TICK_S)

    def _add_agent(self, app: KinologApp, station: StepRuntime, priority: Priority, precedence: Precedence) -> None:
        self.subscribed.append(self._topics.step_requests(station.kind.name, priority))
        requests = app.topic(
            self.subscribed[-1],
            value_type=bytes,
            value_serializer="raw",
            key_serializer="raw",
        )

        async def serve(stream: Any) -> None:
            await self._serve(station, stream, priority, precedence)

        name = f"executor-{station.kind.name}"
        app.agent(requests, name=name if priority == "normal" else f"{name}-{priority}")(serve)

    async def _serve(self, station: StepRuntime, stream: Any, priority: Priority, precedence: Precedence) -> None:
        await self._opened.wait()
        pulls = RequestPuller(stream)
        precedence.join(priority, pulls.waiting)
        try:
            while True:
                await self._wait_for_room(station, priority, precedence)
                events = await pulls.group(1 if station.kind.heavy else station.slots.free)
                if not self._valves.is_open(station.kind.name):
                    await self._put_back(events)
                    continue
                precedence.took(priority, len(events))
                await self._take(events, station.kind.name, priority)
        except StopAsyncIteration:
            return  # the app is stopping
        finally:
            pulls.close()

    async def _wait_for_room(self, station: StepRuntime, priority: Priority, precedence: Precedence) -> None:
        """Return when a request may be pulled: what is pulled holds up every rebalance until it is acknowledged."""
        await self._valves.wait_open(station.kind.name)
        await station.slots.wait_free()
        if station.kind.heavy:
            await self._bench.budget.wait_free()
        if not precedence.may_go(priority):
            await precedence.turn(priority)
            await self._wait_for_room(station, priority, precedence)  # it may be taken by now
        if self._closing:
            await asyncio.Event().wait()  # for good: the app cancels this agent when the drain is over

    async def _put_back(self, events: list[Any]) -> None:
        """The queue was paused while a record was waited for. Holding it would hold up every rebalance, so it goes to
        the end of its partition; pulling stops until the queue is resumed.
        """
        for event in events:
            record = event.message
            headers = list(dict(record.headers or ()).items())
            try:
                await self._producer.deliver(record.topic, record.partition, record.key, record.value or b"", headers)
            except KafkaError as error:
                _fatal("a request can never be put back", error=repr(error))
            event.ack()

    async def _take(self, events: list[Any], step: str, priority: Priority) -> None:
        """Accept what the events ask for, then acknowledge them, in order. Never raises."""
        try:
            await self._accept(events, step, priority)
        except Exception:  # a bug of ours: an event that raises here would come back for ever
            log.exception("requests could not be accepted", extra={"step": step})
            for event in events:
                await self._accept_or_bury(event, step, priority)
        for event in events:
            event.ack()

    async def _accept(self, events: list[Any], step: str, priority: Priority) -> None:
        lines = [request_line(e.message.partition, priority, self._settings.partitions) for e in events]
        understood = [requests_of(e.message, step, line) for e, line in zip(events, lines, strict=True)]
        await self._roster.accept([request for requests, _ in understood for request in requests])
        for unusable in [entry for _, entries in understood for entry in entries]:
            await self._bury(unusable)

    async def _accept_or_bury(self, event: Any, step: str, priority: Priority) -> None:
        """By itself, so that none is lost for a neighbour's sake. What was accepted already is dropped as a repeat."""
        try:
            await self._accept([event], step, priority)
        except Exception as error:
            log.exception("a request could not be accepted", extra={"step": step})
            record = ErrorRecord(code="internal-error", message=repr(error))
            await self._bury(InvalidRequest(event.message, event.message.value or b"", record))

    async def _bury(self, unusable: InvalidRequest) -> None:
        """Keep for people what cannot be understood. Returns when the broker has it."""
        message = unusable.message
        letter = dead_letter(message, unusable.raw, unusable.error, "executor")
        try:
            await self._producer.deliver(self._topics.dead_letters, message.partition, *letter)
        except KafkaError as error:
            _fatal("a dead letter can never be delivered", error=repr(error))

    def _revoke(self, revoked: LeaseRevoked) -> None:
        self._roster.revoke(revoked.lease_id, revoked.reason)


def scratch_of(settings: Settings, executor_name: str) -> Path:
    """Where the executor of that name works; swept when it starts, with whatever still runs there."""
    return settings.data_path / "scratch" / executor_name


def stations(settings: Settings, kinds: list[StepKind], trials: Path) -> dict[str, StepRuntime]:
    """Where each step is worked on, by its name. `trials`: see make_toolbox."""
    toolbox = make_toolbox(msgspec.convert(settings.limits, Limits, from_attributes=True), trials)
    return {
        kind.name: StepRuntime(kind, Slots(slots_of(settings, kind)), processor_of(kind, toolbox, settings))
        for kind in kinds
    }


def bench(settings: Settings, executor_name: str) -> AttemptResources:
    """What attempts of one executor work with."""
    store = open_store(settings.store_url)
    inputs = LocalCache(settings.data_path / "inputs" / executor_name, settings.store.local_cache_bytes)
    return AttemptResources(
        store=store,
        scratch=Scratch(scratch_of(settings, executor_name)),
        sources=Sources(store, tuple(Path(root) for root in settings.store.input_roots), inputs),
        budget=CpuBudget(settings.executor.cpus or len(os.sched_getaffinity(0))),
    )


def _fatal(reason: str, **facts: Any) -> None:
    end_process(EX_SOFTWARE, reason, **facts)


def _require_cancelled(task: asyncio.Task[None]) -> None:
    """What shall run for ever has ended."""
    if not task.cancelled():
        end_process(EX_SOFTWARE, "the executor lost a part of itself", error=repr(task.exception()))
