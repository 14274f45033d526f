"""Jobs that are to start later, in control: by the log's time, across restarts."""

from msgspec.structs import replace

from schemas.step_events import JobDue, StepRequested
from tests.unit.agents.control.test_deletion import submit
from tests.unit.agents.control.world import Log


async def test_a_job_starts_although_control_was_restarted_before_its_time() -> None:
    log = Log()
    log.is_reading = True
    await log.send(await log.control(), replace(submit(), run_at=1_050.0))
    control = await log.control()
    await control.tick()
    assert not log.all(JobDue)
    control._timers.clock._offset_s += 50.0
    await control.tick()
    [due] = log.all(JobDue)
    log.now = 1_050.5
    await log.send(control, due)
    assert log.all(StepRequested)


async def test_a_job_whose_time_came_while_control_was_down_does_not_wait_as_long_again() -> None:
    """Nothing was written meanwhile, so no record tells control the time."""
    log = Log()
    log.is_reading = True
    await log.send(await log.control(), replace(submit(), run_at=1_050.0))
    log.broker_time = 9_000.0
    control = await log.control()
    await control.tick()
    await log.settle()
    await control.tick()
    assert log.all(JobDue)


async def test_a_job_whose_time_comes_while_the_broker_is_away_starts_once_it_is_back() -> None:
    """Source: taskforcesh/bullmq#1658 and OptimalBits/bull#2015: it waited for the next job, or for a restart."""
    log = Log()
    control = await log.control()
    await log.send(control, replace(submit(), run_at=1_050.0))
    log.is_away = True
    for _ in range(90):
        control._timers.clock._offset_s += 1.0
        await control.tick()
    lost = log.reconnect()
    assert len(lost) <= 20, "it is not sent again and again"
    for _ in range(6):
        control._timers.clock._offset_s += 1.0
        await control.tick()
    due = [*log.all(JobDue), *lost][0]
    log.now = control._timers.clock.now()
    await log.send(control, due, due)
    assert len(log.all(StepRequested)) == 1
