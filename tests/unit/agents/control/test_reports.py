"""Control reports what it decides, and only while it does."""

from schemas.processes import ControlReported
from tests.unit.agents.control.world import Log


async def test_control_says_every_second_which_partitions_it_decides() -> None:
    log = Log()
    log.is_reading = True
    control = await log.control()
    for _ in range(3):
        await control.tick()
    assert log.all(ControlReported) == [ControlReported(control="control-1", partitions=(0,))] * 3


async def test_during_a_recovery_it_says_nothing() -> None:
    log = Log()
    await (await log.control()).tick()
    assert log.all(ControlReported) == []


async def test_without_a_broker_reports_do_not_pile_up() -> None:
    log = Log()
    log.is_reading = log.is_away = True
    control = await log.control()
    for _ in range(60):
        await control.tick()
    assert len(log.queued) == 1
