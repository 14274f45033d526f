"""media.step-requests -> the step's processor -> media.step-events, media.progress; and reports on media.executors.

Requests come from the dispatcher in control, on the partition that this executor reads (its address).
"""

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from agents.executor.capacity import CpuBudget, Slots
from agents.executor.control_follower import ControlFollower
from agents.executor.execution import AttemptResources
from agents.executor.identity import ExecutorName, claim, require_alone
from agents.executor.intake import RequestIntake
from agents.executor.lanes import processor_of, slots_of, steps_of
from agents.executor.removals import add_removals_agent
from agents.executor.reports import StepReporter
from agents.executor.running import RunningAttempts, StepRuntime
from agents.executor.scratch import Scratch
from agents.executor.session import ExecutorSession
from agents.executor.sources import Sources
from agents.executor.store_presence import StorePresence
from processors.media.profiles import ProfileError
from processors.storage.disk_reserve import DiskReserve
from processors.storage.object_store import open_store
from processors.storage.read_cache import LocalCache
from processors.threads import in_thread
from processors.tools.cpus import available_cpus
from processors.tools.runner import Runner
from processors.tools.sandbox_choice import NoSandbox
from schemas.step_events import LeaseRevoked
from schemas.steps import StepKind
from streams.kafka.consumer_groups import executor_group, leave_outdated, require_own_group
from streams.kafka.outbox import Outbox
from streams.kafka.producer import Producer
from streams.kafka.source_urls import SourceUrls
from streams.kafka.topics import names
from streams.process import logs, sd_notify
from streams.process.exit import EX_CONFIG, EX_SOFTWARE, end_process
from streams.process.folders import remember_store, require_data_dir, require_store, store_mark
from streams.process.locks import NameTaken
from streams.process.watchdog import Watch, Watchdog
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
    loop, group = new_loop(), executor_group(settings, lane)
    try:
        require_data_dir(settings)
        require_store(settings)
        kinds = steps_of(settings, lane)
        name = claim(settings, lane)
        executor = Executor(settings, lane, name, kinds)
        Watchdog([Watch("start does not end", executor.starting, settings.watchdog.start_s)]).start()
        loop.run_until_complete(executor.require_sandbox())
        loop.run_until_complete(require_alone(settings, name))
        loop.run_until_complete(require_own_group(settings, group))
    except (SettingsError, ProfileError, NoSandbox) as error:
        log.critical(str(error))
        return EX_CONFIG
    except NameTaken as error:
        log.critical(str(error))
        return EX_SOFTWARE
    app = make_app(settings, group, name.instance_id)
    executor.join(app)
    loop.run_until_complete(leave_outdated(settings.cluster, group, name.instance_id, executor.subscribed))
    return run(app, loop, settings.watchdog, before_stop=executor.drain)


class Executor:
    """All parts of an executor process. Nothing runs or connects before its app starts."""

    def __init__(self, settings: Settings, lane: str, name: ExecutorName, kinds: list[StepKind]) -> None:
        self._settings, self._name, self._topics = settings, name, names(settings)
        self._producer = Producer(settings, name.instance_id)
        self._runner = Runner(settings.limits, trials=scratch_of(settings, name.name))
        self._runtimes = step_runtimes(settings, kinds, self._runner)
        self._resources = attempt_resources(settings, name.name)
        self._session = ExecutorSession(
            settings,
            lane,
            name.instance_id,
            home=name.home,
            runtimes=self._runtimes,
            cpus=self._resources.budget.cpus,
            producer=self._producer,
            fatal=_fatal,
        )
        self._session.isolation = lambda: self._runner.isolation.value if self._runner.isolation else ""
        outbox, partitions = Outbox(self._producer.send), settings.partitions
        self._reporter = StepReporter(
            outbox, self._topics, partitions, name.instance_id, session_id=self._session.id, fatal=_fatal
        )
        self._attempts = RunningAttempts(
            self._runtimes, self._resources, self._reporter, settings.lease.heartbeat_s, settings.executor.short_turns
        )
        self._session.held, self._session.runs_at_length = self._attempts.held, self._attempts.runs_at_length
        self._session.cached = self._resources.sources.large_assets
        self._attempts.on_change = self._resources.budget.on_release = self._session.change
        self._resources.sources.on_large_assets(self._session.change)
        self._intake = RequestIntake(
            settings,
            steps=self._runtimes.keys(),
            attempts=self._attempts,
            session=self._session,
            producer=self._producer,
            fatal=_fatal,
        )
        self._control = ControlFollower(
            settings,
            name.instance_id,
            self._session.address,
            on_revoke=self._revoke,
            on_requests=self._intake.receive,
            on_invalid=self._intake.dead_letter,
        )
        self._assigned, self._is_ready = asyncio.Event(), False
        #: Topics that this executor subscribes to.
        self.subscribed = [self._topics.removals]
        self._background: list[asyncio.Task[None]] = []

    def join(self, app: KinologApp) -> None:
        """Add the removals agent and the background tasks to `app`."""
        self._app = app
        app.may_wait = lambda: self._reporter.is_undelivered
        app.task(self._begin)
        app.on_partitions_assigned.connect(self._note_assignment)
        add_removals_agent(app, self._settings, self._resources.store, self._producer.deliver)

    def starting(self) -> bool | None:
        """A probe of the watchdog: True until the executor is ready, None from then on."""
        return None if self._is_ready else True

    async def require_sandbox(self) -> None:
        """Detect the sandbox if a step of the lane runs tools. Raises NoSandbox.

        A full disk allows no trial: then the first tool detects it.
        """
        if not any(runtime.kind.tools for runtime in self._runtimes.values()):
            return
        try:
            await self._runner.sandbox()
        except OSError as error:
            log.warning("the sandbox cannot be tried yet", extra={"error": str(error)})

    async def drain(self) -> None:
        """Refuse requests, let running work end, release the rest. Takes `executor.drain_s` + 7 s at most."""
        self._session.is_draining = True
        self._session.change()
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
            await self._producer.start(self._topics.step_events, self._topics.progress, self._topics.executors)
        except KafkaError as error:
            _fatal("executor could not start: is the broker running?", error=repr(error))
        self._keep_running(self._control.run())
        self._keep_running(self._tick())
        await self._control.caught_up.wait()
        presence = StorePresence(
            self._resources.store, self._session, on_marked=partial(in_thread, remember_store, self._settings)
        )
        await presence.look()
        self._keep_running(presence.run())
        self._keep_running(self._session.run())
        await self._assigned.wait()
        self._is_ready = True
        sd_notify.ready()
        log.info(
            "executor ready",
            extra={"executor": self._name.name, "steps": ",".join(self._runtimes), "cpus": self._resources.budget.cpus},
        )

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

    def _revoke(self, revoked: LeaseRevoked) -> None:
        self._attempts.revoke(revoked.lease_id, revoked.reason)


def scratch_of(settings: Settings, executor_name: str) -> Path:
    """The scratch folder of that executor. At its start, files and tools that are left there are removed."""
    return settings.data_path / "scratch" / executor_name


def step_runtimes(settings: Settings, kinds: list[StepKind], runner: Runner) -> dict[str, StepRuntime]:
    """The runtime of each step, by its name."""
    return {
        kind.name: StepRuntime(kind, Slots(slots_of(settings, kind)), processor_of(kind, runner, settings))
        for kind in kinds
    }


def attempt_resources(settings: Settings, executor_name: str) -> AttemptResources:
    """The resources that the attempts of an executor share."""
    reserve = DiskReserve(settings.limits.disk_reserve_bytes)
    store = open_store(settings.store_url, mark=store_mark(settings), reserve=reserve)
    options, folder = settings.store, settings.data_path / "inputs" / executor_name
    inputs = LocalCache(folder, options.local_cache_bytes, options.large_source_bytes)
    return AttemptResources(
        store=store,
        scratch=Scratch(scratch_of(settings, executor_name)),
        sources=Sources(store, tuple(Path(root) for root in settings.store.input_roots), inputs),
        budget=CpuBudget(settings.executor.cpus or available_cpus()),
        urls=SourceUrls(settings),
        reserve=reserve,
    )


def _fatal(reason: str, **facts: Any) -> None:
    end_process(EX_SOFTWARE, reason, **facts)


def _require_cancelled(task: asyncio.Task[None]) -> None:
    """End the process: a background task must never end by itself."""
    if not task.cancelled():
        end_process(EX_SOFTWARE, "a background task of the executor ended", error=repr(task.exception()))
