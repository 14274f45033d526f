"""Work that waits, by real processes: in which order it goes, and when what is for later starts."""

import asyncio
import time
from datetime import datetime

from schemas.commands import CancelJob, PauseQueue, ResumeQueue
from schemas.facts import JobCancelled
from schemas.step_events import AttemptAccepted
from tests.integration.agents.control.test_dispatch import Eventually, Processes, World, installed
from tests.integration.agents.outside import START_S

__all__ = ["installed"]  # a fixture is found by its name in this module


async def test_the_order_that_people_see_is_that_in_which_work_goes_and_says_what_holds_it(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    await world.submit(*range(1, 5), owner="anna", sleep_s=0.3)
    await world.submit(5, owner="bert", sleep_s=0.3)
    await eventually(lambda: world.queue().reason == "no_executor" and world.queue().waiting == 5, START_S)
    assert all(attempt.wait_s is None for attempt in world.queue().first)
    await world.send(PauseQueue(step="noop"))
    await processes.executor("a")
    await eventually(lambda: (world.queue().reason, world.queue().slots) == ("paused", 1), START_S)
    reported = [attempt.job_id for attempt in world.queue().first]
    assert reported.index("job_5") <= 1, "owners take turns"  # whose job was read first begins
    await world.send(ResumeQueue(step="noop"))
    await eventually(lambda: len(world.completed()) == 5, START_S)
    assert [claim.job_id for claim in world.all(AttemptAccepted)] == reported
    await eventually(lambda: (world.queue().waiting, world.queue().first) == (0, ()))


async def test_a_job_for_later_starts_then_also_when_control_was_down_at_that_time(
    installed: tuple[Processes, World], eventually: Eventually
) -> None:
    processes, world = installed
    await processes.start("control", "control")
    await processes.executor("a")
    await world.submit(0)
    await eventually(world.completed, START_S)
    run_at = time.time() + 6.0
    await world.submit(1, 2, run_at=run_at, sleep_s=0.3)
    await world.submit(3)
    await eventually(lambda: "job_3" in world.completed(), START_S)
    await world.send(CancelJob(job_id="job_2", asset_id="asset_2"))
    await eventually(lambda: world.all(JobCancelled, job_id="job_2"), START_S)
    await processes.kill("control")
    await asyncio.sleep(max(run_at + 2.0 - time.time(), 0.0))
    await processes.start("control", "control")
    await eventually(lambda: "job_1" in world.completed(), START_S)
    [claim] = [
        event for event, message in world.received if isinstance(message, AttemptAccepted) and message.job_id == "job_1"
    ]
    assert datetime.fromisoformat(claim.time or "").timestamp() >= run_at
    assert world.completed() == {"job_0", "job_1", "job_3"}
