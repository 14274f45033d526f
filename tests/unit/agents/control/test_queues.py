"""Pausing a queue: decided by control, kept in its table, heard by executors that are there and that come."""

from schemas.commands import PauseQueue, ResumeQueue
from schemas.step_events import QueueChanged
from streams.kafka.partitioner import partition_of
from tables.queues import queue_key
from tests.unit.agents.control.world import PARTITIONS, Log


async def test_a_pause_is_told_and_told_again_by_whoever_takes_over() -> None:
    log = Log()
    assert partition_of(queue_key("noop"), PARTITIONS) == 0
    await log.send(await log.control(), PauseQueue(step="noop", requested_by="root"))
    [first] = log.all(QueueChanged)
    assert (first.step, first.paused) == ("noop", True)
    log.published.clear()
    control = await log.control()
    await control.tick()
    assert log.all(QueueChanged) == [first]
    log.published.clear()
    await control.tick()
    assert not log.published, "it is not said every second"
    await log.send(control, ResumeQueue(step="noop"))
    assert [said.paused for said in log.all(QueueChanged)] == [False]
    log.published.clear()
    await (await log.control()).tick()
    assert not log.published


async def test_a_second_pause_changes_nothing() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, PauseQueue(step="noop"), PauseQueue(step="noop"))
    assert len(log.all(QueueChanged)) == 1


async def test_a_queue_that_does_not_exist_cannot_be_paused() -> None:
    log = Log()
    await log.send(await log.control(), PauseQueue(step="dishes"))
    assert not log.all(QueueChanged) and not log.changelogs["jobs"].keys() - {b"@0"}
