"""Dispatch by real processes: controls and executors against a broker, and what a kill of any of them costs."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from msgspec.structs import replace

from schemas.commands import LimitQueue, PauseQueue, ResumeQueue
from schemas.facts import JobCompleted, JobSubmitted, StepCompleted, StepStarted
from schemas.jobs import StepSpec
from schemas.queues import QueueReported
from schemas.step_events import AttemptAccepted, AttemptCompleted, QueueChanged
from streams.kafka.admin import apply_topics
from streams.kafka.executor_reports import latest_reports
from streams.process.exit import EX_SOFTWARE
from streams.settings import Settings, to_environ
from tests.conftest import MakeSettings, eventually
from tests.installations import Installation
from tests.integration.agents.outside import START_S, Outside, submit

Eventually = Callable[..., Awaitable[Any]]


class Processes:
    """The processes of an installation, by name."""

    def __init__(self, settings: Settings, log: Path, stack: AsyncExitStack) -> None:
        self.settings, self._log, self._stack = settings, log, stack
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, name: str, *command: str, **environ: str) -> None:
        """`kinolog COMMAND`."""
        known = {**os.environ, **to_environ(self.settings), **environ}
        with self._log.open("ab") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "streams.cli", *command, env=known, stderr=log
            )
        self._stack.push_async_callback(self.kill, name)

    async def executor(self, name: str, **environ: str) -> None:
        """An executor with this name."""
        await self.start(name, "executor", KINOLOG_EXECUTOR__NAME=name, **environ)

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        with suppress(ProcessLookupError):
            self._running[name].kill()
        await self._running[name].wait()

    async def ended(self, name: str) -> int:
        """Wait until it ends by itself. Returns the exit code."""
        return await asyncio.wait_for(self._running[name].wait(), START_S)

    async def stop(self, name: str) -> int:
        """SIGTERM. Returns the exit code."""
        self._running[name].send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._running[name].wait(), 30)


class World(Outside):
    """All that is not control or an executor: submits jobs, and reads what comes of them."""

    def _places(self) -> list[TopicPartition]:
        events = [TopicPartition(self.topics.step_events, number) for number in range(self.settings.partitions)]
        return [*super()._places(), *events, TopicPartition(self.topics.progress, 0)]

    async def _report(self) -> None:
        """Here are real executors."""

    async def submit(self, *numbers: int, sleep_s: float = 0.0, **fields: Any) -> None:
        for number in numbers:
            job = submit(f"job_{number}", f"asset_{number}")
            step = StepSpec(name="noop", params={"sleep_s": sleep_s})
            await self.send(replace(job, steps=(step,), **fields))

    async def executors_report(self, count: int) -> None:
        """Wait until so many executors are known."""

        async def are_known() -> bool:
            return len(await latest_reports(self.settings, self.settings.cluster)) == count

        await eventually(are_known, START_S, 0.2)

    def completed(self) -> set[str]:
        return {fact.job_id for fact in self.all(JobCompleted)}

    def published(self) -> list[str]:
        """Ids of the published completions, repeats counted once."""
        return sorted({event.id for event, message in self.received if isinstance(message, StepCompleted)})

    def queue(self) -> QueueReported:
        """The latest report of the queue."""
        reports = self.all(QueueReported, step="noop")
        return reports[-1] if reports else QueueReported(step="noop", dispatcher=0)

    def most_active(self, jobs: set[str]) -> int:
        """How many of these jobs were worked on at a time, at most."""
        changes = [
            (event.time or "", 1 if isinstance(message, AttemptAccepted) else -1, message.job_id)
            for event, message in self.received
            if isinstance(message, AttemptAccepted | AttemptCompleted)
        ]
        changes = sorted(change for change in changes if change[2] in jobs)  # of one moment, ends come first
        return max(sum(change for _, change, _ in changes[: n + 1]) for n in range(len(changes)))

    def by(self) -> dict[str, str]:
        """The executor that accepted each job first."""
        accepted: dict[str, str] = {}
        for claim in self.all(AttemptAccepted):
            accepted.setdefault(claim.job_id, claim.executor_id)
        return accepted


@pytest.fixture
async def installed(
    own_installation: Installation, make_settings: MakeSettings, tmp_path: Path
) -> AsyncIterator[tuple[Processes, World]]:
    """One slot for each executor, short leases, and nothing running yet."""
    settings = make_settings(
        **own_installation.environ,
        KINOLOG_EXECUTOR__SLOTS='{"noop": 1}',
        KINOLOG_EXECUTOR__DRAIN_S="5",
        KINOLOG_LEASE__TTL_S="4",
        KINOLOG_LEASE__HEARTBEAT_S="1",
    )
    await apply_topics(settings, 60)
    async with AsyncExitStack() as stack:
        processes, world = Processes(settings, tmp_path / "processes.log", stack), World(settings)
        await world.open(stack)
        try:
            yield processes, world
        finally:
            sys.stderr.write((tmp_path / "processes.log").read_text(errors="replace")[-6000:])


async def test_ready_steps_go_to_idle_executors_at_once(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    for name in ("a", "b"):
        await processes.executor(name)
    await world.executors_report(2)
    await world.submit(0)
    await eventually(lambda: world.completed() == {"job_0"}, START_S)
    for number in range(1, 9, 2):  # with a hash, two of a pair lie behind one another half of the time
        await world.submit(number, number + 1, sleep_s=2.0)
        await eventually(lambda pair={f"job_{number}", f"job_{number + 1}"}: pair <= world.by().keys())
        assert len({world.by()[f"job_{n}"] for n in (number, number + 1)}) == 2
        await eventually(lambda count=number + 2: len(world.completed()) == count, START_S)


async def test_what_was_submitted_before_any_executor_is_done_by_the_first_one(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await world.submit(*range(20))
    await processes.start("control", "control")
    await processes.executor("a")
    await eventually(lambda: len(world.completed()) == 20, START_S)
    assert len(world.all(AttemptAccepted)) <= 20 and len(world.published()) == 20


async def test_work_of_a_killed_executor_is_done_by_another_and_by_the_one_that_comes_back(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    for name in ("a", "b"):
        await processes.executor(name)
    await world.submit(0)
    await eventually(world.completed, START_S)
    await world.submit(*range(1, 9), sleep_s=1.0)
    await eventually(lambda: len(world.by().keys() - {"job_0"}) == 2)
    await processes.kill("a")
    await world.submit(9, 10)
    await processes.executor("a")
    await eventually(lambda: len(world.completed()) == 11, START_S)
    assert len(world.published()) == 11


async def test_another_control_dispatches_when_one_is_killed(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    for name in ("control-1", "control-2"):
        await processes.start(name, "control")
    for name in ("a", "b"):
        await processes.executor(name)
    await world.submit(*range(16))
    await eventually(lambda: len(world.completed()) == 16, START_S)
    for number, name in enumerate(("control-1", "control-2")):
        first = 16 + 16 * number
        await world.submit(*range(first, first + 16), sleep_s=0.3)
        slow = {f"job_{number}" for number in range(first, first + 16)}
        await eventually(lambda jobs=slow: jobs & world.by().keys())
        await processes.kill(name)
        await eventually(lambda count=first + 16: len(world.completed()) == count, START_S)
        await processes.start(name, "control")
    assert len(world.published()) == 48


async def test_a_step_that_a_restarted_executor_adds_is_done(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    await processes.executor("a", KINOLOG_EXECUTOR__LANES='{"other": ["noop"]}')
    await world.submit(0)
    await asyncio.sleep(3)  # nobody takes it
    assert not world.completed()
    await processes.kill("a")
    await processes.executor("a")
    await eventually(lambda: world.completed() == {"job_0"}, START_S)


async def test_a_paused_queue_gives_nothing_until_it_is_resumed_also_after_a_kill(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    await processes.executor("a")
    await world.submit(0)
    await eventually(world.completed, START_S)
    await world.send(PauseQueue(step="noop"))
    await eventually(lambda: world.all(QueueChanged, paused=True))
    await world.submit(1)
    await processes.kill("control")
    await processes.start("control", "control")
    await world.submit(2)
    await asyncio.sleep(8)
    assert world.completed() == {"job_0"}
    await world.send(ResumeQueue(step="noop"))
    await eventually(lambda: len(world.completed()) == 3, START_S)


async def test_a_stopping_executor_leaves_its_work_to_another(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    await processes.executor("a")
    await world.submit(0)
    await eventually(world.completed, START_S)
    await world.submit(1, 2, sleep_s=0.5)
    assert await processes.stop("a") == 0
    await processes.executor("b")
    await eventually(lambda: len(world.completed()) == 3, START_S)
    assert len(world.published()) == 3


async def test_a_high_job_and_a_second_owner_do_not_wait_behind_the_jobs_of_the_first(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    await processes.executor("a")
    await world.submit(0)
    await eventually(world.completed, START_S)
    await world.submit(*range(1, 13), sleep_s=0.5, owner="anna")
    await world.submit(13, sleep_s=0.5, priority="low", owner="anna")
    await world.submit(14, sleep_s=0.5, owner="bert")
    await world.submit(15, sleep_s=0.5, priority="high", owner="anna")
    await eventually(lambda: len(world.completed()) == 16, START_S)
    order = [claim.job_id for claim in world.all(AttemptAccepted) if claim.job_id != "job_0"]
    before = {job: order.index(job) for job in ("job_12", "job_13", "job_14", "job_15")}
    assert before["job_15"] < before["job_12"] and before["job_14"] < before["job_12"]
    assert before["job_14"] <= 5 and before["job_15"] <= 5, order


async def test_a_limit_holds_over_all_executors_until_it_is_lifted(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    for name in ("a", "b"):
        await processes.executor(name)
    await world.submit(0)
    await eventually(world.completed, START_S)
    await world.send(LimitQueue(step="noop", max_active=1))
    await world.submit(*range(1, 5), sleep_s=1.0)
    await eventually(lambda: len(world.completed()) == 5, START_S)
    assert world.most_active({f"job_{number}" for number in range(1, 5)}) == 1
    await world.send(LimitQueue(step="noop", max_active=None))
    await world.submit(5, 6, sleep_s=3.0)
    await eventually(lambda: {"job_5", "job_6"} <= world.by().keys())
    assert not {"job_5", "job_6"} & world.completed()


async def test_a_second_executor_of_the_same_name_starts_only_when_the_first_has_ended(
    installed: tuple[Processes, World], tmp_path: Path, eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    await processes.executor("a")
    await world.submit(0)
    await eventually(world.completed, START_S)
    elsewhere = {"KINOLOG_EXECUTOR__NAME": "a", "KINOLOG_DATA_DIR": str(tmp_path / "elsewhere")}
    await processes.start("twin", "executor", **elsewhere)
    assert await processes.ended("twin") == EX_SOFTWARE
    await world.submit(1)
    await eventually(lambda: len(world.completed()) == 2, START_S)
    await processes.kill("a")
    await processes.start("twin", "executor", **elsewhere)
    await world.submit(2)
    await eventually(lambda: len(world.completed()) == 3, START_S)


async def test_what_an_executor_of_the_version_before_has_accepted_is_its_own_and_the_rest_is_given_to_others(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    """It read topics of its own, and does not name its session. One of two such executors dies."""
    processes, world = installed
    await world.submit(*range(1, 6))
    await processes.start("control", "control")
    about = {number: _about(number) for number in (1, 2)}
    await eventually(lambda: len(world.all(JobSubmitted)) == 5, START_S)
    for number, fields in about.items():
        await world.send(AttemptAccepted(**fields, executor_id=f"old-{number}", requested_at=0.0))
    await eventually(lambda: len(world.all(StepStarted)) == 2, START_S)
    await processes.executor("a")
    await eventually(lambda: {"job_3", "job_4", "job_5"} <= world.completed(), START_S)
    await world.send(AttemptCompleted(**about[1]))
    await eventually(lambda: len(world.completed()) == 5, START_S)
    assert len(world.published()) == 5
    assert world.by()["job_1"] == "old-1"


def _about(number: int) -> dict[str, Any]:
    """The first attempt of a job's step, and a lease on it."""
    names = {"job_id": f"job_{number}", "asset_id": f"asset_{number}", "step": "noop", "lease_id": f"lease_{number}"}
    return {**names, "run": 1, "attempt": 1}
