"""media.step-requests.<step> -> the step's processor -> media.step-events, media.progress.

A request is accepted, then acknowledged, then worked on: no work runs inside the consumer's poll path.
"""

import asyncio
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from agents.executor.capacity import CpuBudget, PausedQueues, Slots
from agents.executor.control_follower import ControlFollower
from agents.executor.execution import AttemptResources
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
from processors.tools.runner import Runner
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

#: Seconds between ticks: the longest delay of a heartbeat.
_TICK_S = 0.25
#: Seconds to deliver buffered events before the process exits.
_FLUSH_S = 3.0


def main(settings: Settings, lane: str) -> int:
    """Run the steps of a lane until SIGTERM. Returns the exit code: 0, 2 (invalid settings), 70 (internal error)."""
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
    """All parts of an executor process. Nothing runs or connects before its app starts."""

    def __init__(self, settings: Settings, name: ExecutorName, kinds: list[StepKind]) -> None:
        self._settings, self._name, self._topics = settings, name, names(settings)
        self._producer = Producer(settings, name.instance_id)
        outbox = Outbox(self._producer.send)
        self._reporter = StepReporter(outbox, self._topics, settings.partitions, name.instance_id, _fatal)
        self._runtimes = step_runtimes(settings, kinds, scratch_of(settings, name.name))
        self._paused = PausedQueues(kind.name for kind in kinds)
        self._resources = attempt_resources(settings, name.name)
        self._attempts = RunningAttempts(self._runtimes, self._resources, self._reporter, settings.lease.heartbeat_s)
        self._control = ControlFollower(
            settings,
            self._topics.control,
            name.instance_id,
            on_revoke=self._revoke,
            on_queue=self._paused.apply,
            on_invalid=self._dead_letter,
        )
        self._caught_up, self._assigned = asyncio.Event(), asyncio.Event()
        self._is_draining = False
        #: Topics of requests and removals that this executor subscribes to.
        self.subscribed: list[str] = []
        self._background: list[asyncio.Task[None]] = []

    def join(self, app: KinologApp, lane: str) -> None:
        """Add the agents and background tasks to `app`. The default lane also removes deleted files."""
        self._app = app
        app.may_wait = self._may_wait
        app.task(self._begin)
        app.on_partitions_assigned.connect(self._note_assignment)
        for runtime in self._runtimes.values():
            precedence = Precedence()
            for priority in PRIORITIES:
                self._add_agent(app, runtime, priority, precedence)
        if lane == DEFAULT_LANE:
            self.subscribed.append(self._topics.removals)
            add_removals_agent(app, self._settings, self._resources.store, self._producer.deliver)

    async def drain(self) -> None:
        """Stop accepting requests, let running work end, release the rest. Takes `executor.drain_s` + 7 s at most."""
        self._is_draining = True
        self._app.flow_control.suspend()
        self._app.consumer.stop_flow()
        log.info("draining", extra={"attempts": len(self._attempts)})
        await self._attempts.drain(self._settings.executor.drain_s)
        for task in self._background:
            task.cancel()
        await self._producer.stop(_FLUSH_S)

    async def _begin(self) -> None:
        """Prepare the process for its first request. An error ends the process."""
        await self._resources.scratch.sweep()
        await self._resources.sources.sweep()
        try:
            await self._producer.start(self._topics.step_events, self._topics.progress)
        except KafkaError as error:
            _fatal("executor could not start: is the broker running?", error=repr(error))
        self._keep_running(self._control.run())
        self._keep_running(self._tick())
        await self._control.caught_up.wait()
        self._caught_up.set()
        await self._assigned.wait()
        sd_notify.ready()
        log.info(
            "executor ready",
            extra={"executor": self._name.name, "steps": ",".join(self._runtimes), "cpus": self._resources.budget.cpus},
        )

    def _may_wait(self) -> bool:
        """Whether some requests are left waiting on purpose: no capacity, a paused queue, an unavailable broker."""
        is_full = (
            any(not runtime.slots.free for runtime in self._runtimes.values()) or not self._resources.budget.is_free
        )
        is_paused = any(self._paused.is_paused(step) for step in self._runtimes)
        is_cut_off = self._reporter.is_undelivered or not self._caught_up.is_set()
        return is_full or is_paused or is_cut_off or self._is_draining

    def _note_assignment(self, *_: Any, **__: Any) -> None:
        self._assigned.set()

    def _keep_running(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_require_cancelled)
        self._background.append(task)

    async def _tick(self) -> None:
        while True:
            self._attempts.tick()
            await asyncio.sleep(_TICK_S)

    def _add_agent(self, app: KinologApp, runtime: StepRuntime, priority: Priority, precedence: Precedence) -> None:
        self.subscribed.append(self._topics.step_requests(runtime.kind.name, priority))
        requests = app.topic(
            self.subscribed[-1],
            value_type=bytes,
            value_serializer="raw",
            key_serializer="raw",
        )

        async def serve(stream: Any) -> None:
            await self._serve(runtime, stream, priority, precedence)

        name = f"executor-{runtime.kind.name}"
        app.agent(requests, name=name if priority == "normal" else f"{name}-{priority}")(serve)

    async def _serve(self, runtime: StepRuntime, stream: Any, priority: Priority, precedence: Precedence) -> None:
        await self._caught_up.wait()
        puller = RequestPuller(stream)
        precedence.register(priority, puller.waiting)
        try:
            while True:
                await self._wait_for_capacity(runtime, priority, precedence)
                events = await puller.batch(1 if runtime.kind.heavy else runtime.slots.free)
                if self._paused.is_paused(runtime.kind.name):
                    await self._put_back(events)
                    continue
                precedence.took(priority, len(events))
                await self._take(events, runtime.kind.name, priority)
        except StopAsyncIteration:
            return  # the app is stopping
        finally:
            puller.close()

    async def _wait_for_capacity(self, runtime: StepRuntime, priority: Priority, precedence: Precedence) -> None:
        """Return when a request may be pulled. A pulled request delays every rebalance until it is acknowledged."""
        await self._paused.wait_resumed(runtime.kind.name)
        await runtime.slots.wait_free()
        if runtime.kind.heavy:
            await self._resources.budget.wait_free()
        if not precedence.may_go(priority):
            await precedence.turn(priority)
            await self._wait_for_capacity(runtime, priority, precedence)  # it may be gone by now
        if self._is_draining:
            await asyncio.Event().wait()  # for ever: the app cancels this agent after the drain

    async def _put_back(self, events: list[Any]) -> None:
        """Move requests to the end of their partition: the queue was paused while they were pulled, and holding them
        would delay every rebalance.
        """
        for event in events:
            record = event.message
            headers = list(dict(record.headers or ()).items())
            try:
                await self._producer.deliver(record.topic, record.partition, record.key, record.value or b"", headers)
            except KafkaError as error:
                _fatal("a request can never be returned to its queue", error=repr(error))
            event.ack()

    async def _take(self, events: list[Any], step: str, priority: Priority) -> None:
        """Accept the requests of the events, then acknowledge them, in order. Never raises."""
        try:
            await self._accept(events, step, priority)
        except Exception:  # a bug: an event that raises here would be redelivered for ever
            log.exception("requests failed", extra={"step": step})
            for event in events:
                await self._accept_or_dead_letter(event, step, priority)
        for event in events:
            event.ack()

    async def _accept(self, events: list[Any], step: str, priority: Priority) -> None:
        queues = [request_line(e.message.partition, priority, self._settings.partitions) for e in events]
        parsed = [requests_of(e.message, step, queue) for e, queue in zip(events, queues, strict=True)]
        await self._attempts.accept([request for requests, _ in parsed for request in requests])
        for invalid in [entry for _, entries in parsed for entry in entries]:
            await self._dead_letter(invalid)

    async def _accept_or_dead_letter(self, event: Any, step: str, priority: Priority) -> None:
        """Accept one event of a failed batch. A request that was accepted with the batch is dropped as a repeat."""
        try:
            await self._accept([event], step, priority)
        except Exception as error:
            log.exception("request failed", extra={"step": step})
            record = ErrorRecord(code="internal-error", message=repr(error))
            await self._dead_letter(InvalidRequest(event.message, event.message.value or b"", record))

    async def _dead_letter(self, invalid: InvalidRequest) -> None:
        """Send an invalid request to the dead letters. Returns when the broker has it."""
        message = invalid.message
        letter = dead_letter(message, invalid.raw, invalid.error, "executor")
        try:
            await self._producer.deliver(self._topics.dead_letters, message.partition, *letter)
        except KafkaError as error:
            _fatal("a dead letter can never be delivered", error=repr(error))

    def _revoke(self, revoked: LeaseRevoked) -> None:
        self._attempts.revoke(revoked.lease_id, revoked.reason)


def scratch_of(settings: Settings, executor_name: str) -> Path:
    """The scratch folder of that executor. At its start, files and tools that are left there are removed."""
    return settings.data_path / "scratch" / executor_name


def step_runtimes(settings: Settings, kinds: list[StepKind], trials: Path) -> dict[str, StepRuntime]:
    """The runtime of each step, by its name. `trials`: see Runner."""
    runner = Runner(settings.limits, trials=trials)
    return {
        kind.name: StepRuntime(kind, Slots(slots_of(settings, kind)), processor_of(kind, runner, settings))
        for kind in kinds
    }


def attempt_resources(settings: Settings, executor_name: str) -> AttemptResources:
    """The resources that the attempts of an executor share."""
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
    """End the process: a background task must never end by itself."""
    if not task.cancelled():
        end_process(EX_SOFTWARE, "a background task of the executor ended", error=repr(task.exception()))
