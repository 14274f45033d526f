"""Leases during an outage of the broker: none can be renewed, so none is taken from a live executor."""

from schemas.step_events import AttemptHeartbeat, LeaseExpired
from tests.unit.agents.control.test_deletion import ABOUT, ACCEPTED, submit
from tests.unit.agents.control.world import Log


async def test_an_outage_longer_than_a_lease_loses_no_work() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, submit(), ACCEPTED)
    log.is_away = True
    for _ in range(100):  # a second each
        control._timers.clock._offset_s += 1.0
        await control.tick()
    [word] = log.reconnect()
    assert isinstance(word, LeaseExpired)
    log.now += 101.0
    await control.tick()
    assert not log.all(LeaseExpired), "the lease has a grace"
    await log.send(control, word, AttemptHeartbeat(**ABOUT, executor_id="e"))
    step = log.jobs["job_1"].steps[0]
    assert (step.status, step.losses) == ("active", 0)


async def test_a_lease_that_is_not_renewed_after_the_outage_ends() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, submit(), ACCEPTED)
    log.is_away = True
    for _ in range(60):
        control._timers.clock._offset_s += 1.0
        await control.tick()
    log.reconnect()
    log.now = control._timers.clock.now()
    for _ in range(60):
        control._timers.clock._offset_s += 1.0
        await control.tick()
    word = log.all(LeaseExpired)[-1]
    log.now = word.decided_at + 0.1
    await log.send(control, word)
    assert (log.jobs["job_1"].steps[0].status, log.jobs["job_1"].steps[0].losses) == ("delayed", 1)
