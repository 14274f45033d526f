"""An instruction that cannot be followed is a dead letter. An executor reads all of them at each start."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from agents.executor import control_follower
from agents.executor.control_follower import ControlFollower
from agents.executor.requests import InvalidRequest
from schemas.step_events import LeaseRevoked, QueueChanged
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.kafka.reader_watch import watch_reader
from streams.settings import Settings

PAUSED = QueueChanged(step="noop", paused=True, changed_at=1.0)
REVOKED = LeaseRevoked(job_id="j", asset_id="a", run=1, step="noop", attempt=1, lease_id="lease", reason="cancelled")


async def test_a_control_message_that_fails_does_not_end_the_executor() -> None:
    invalid: list[InvalidRequest] = []

    def fail(message: Any) -> None:
        raise RuntimeError("a bug")

    async def dead_letter(request: InvalidRequest) -> None:
        invalid.append(request)

    async def never(record: Any) -> None:
        raise AssertionError("this is not a record of the address")

    follower = ControlFollower(Settings(), "e", 3, on_revoke=fail, on_requests=never, on_invalid=dead_letter)
    follower.caught_up.set()
    events = [structured(m, event_id="e", source="test", subject="a") for m in (REVOKED, PAUSED)]
    await follower._apply_record(
        SimpleNamespace(topic="media.control", partition=0, offset=4, value=batch(events), headers=BATCH_HEADERS)
    )
    assert [request.error.code for request in invalid] == ["internal-error"]
    assert list(follower._next.values()) == [5]


class StandInConsumer:
    """A consumer of one address that holds a number of records; it returns none of them when it `hangs`."""

    def __init__(self, records: int, *, hangs: bool) -> None:
        self._end, self._hangs = records, hangs
        self._positions: dict[TopicPartition, int] = {}

    def assign(self, parts: list[TopicPartition]) -> None: ...

    def pause(self, *parts: TopicPartition) -> None: ...

    def resume(self, *parts: TopicPartition) -> None: ...

    def seek(self, part: TopicPartition, offset: int) -> None:
        self._positions[part] = offset

    async def beginning_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, 0)

    async def end_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {part: self._end if part.topic == "media.step-requests" else 0 for part in parts}

    async def position(self, part: TopicPartition) -> int:
        return self._positions[part]

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        for part, at in self._positions.items():
            if part.topic == "media.step-requests" and at < self._end and not self._hangs:
                self._positions[part] = self._end
                offsets = range(at, self._end)
                return {part: [SimpleNamespace(topic=part.topic, partition=3, offset=offset) for offset in offsets]}
        await asyncio.sleep(60 if self._hangs else 0.001)
        return {}


async def test_requests_still_arrive_after_their_reader_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    consumers: list[StandInConsumer] = []

    @asynccontextmanager
    async def open_reader(_cluster: Any, parts: Any = (), **_: Any) -> AsyncIterator[StandInConsumer]:
        if parts:  # it looks up offsets
            yield StandInConsumer(5, hangs=False)
            return
        # The first one begins at the end of the address, at 2; three requests come, and it never returns them.
        consumers.append(StandInConsumer(5 if consumers else 2, hangs=not consumers))
        yield consumers[-1]

    monkeypatch.setattr(control_follower, "open_reader", open_reader)
    monkeypatch.setattr(control_follower, "watch_reader", partial(watch_reader, check_s=0.001))
    received: asyncio.Queue[int] = asyncio.Queue()

    async def receive(record: Any) -> None:
        received.put_nowait(record.offset)

    ignore: Callable[..., Any] = print
    follower = ControlFollower(Settings(), "e", 3, on_revoke=ignore, on_requests=receive, on_invalid=ignore)
    running = asyncio.create_task(follower.run())
    try:
        assert [await asyncio.wait_for(received.get(), 30) for _ in range(3)] == [2, 3, 4]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
