"""Pausing a queue: decided by control, kept in its table, published to running and new executors."""

from schemas.commands import LimitQueue, PauseQueue, ResumeQueue
from schemas.step_events import QueueChanged
from streams.kafka.partitioner import partition_of
from tables.queues import queue_key
from tests.unit.agents.control.world import PARTITIONS, Log


async def test_a_pause_is_published_again_by_the_next_control() -> None:
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
    assert not log.published, "it is not published every second"
    await log.send(control, ResumeQueue(step="noop"))
    assert [change.paused for change in log.all(QueueChanged)] == [False]
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


async def test_a_limit_outlives_control_and_a_pause() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, LimitQueue(step="noop", max_active=2), PauseQueue(step="noop"), ResumeQueue(step="noop"))
    again = await log.control()
    queue = again._tables.queues["noop"]
    assert (queue.max_active, queue.paused) == (2, False)
    await log.send(again, LimitQueue(step="noop", max_active=None))
    assert (await log.control())._tables.queues["noop"].max_active is None
