"""Requests are pulled in batches, and an invalid one affects no other."""

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any, Self

import pytest

from agents.executor.requests import RequestPuller, requests_of
from schemas.base import Message
from schemas.step_events import AttemptReleased
from tests.unit.agents.executor.fakes import entry, record, request


class FakeStream:
    """A Faust stream of whatever is in its queue; pulls while `lost` never return, as after a rebalance."""

    def __init__(self, *events: Any) -> None:
        self.waiting = deque(events)
        self.lost = False
        self.channel = SimpleNamespace(queue=SimpleNamespace(empty=lambda: not self.waiting))

    def noack(self) -> Self:
        return self

    async def events(self) -> Any:
        while self.waiting:
            if self.lost:
                await asyncio.Event().wait()
            yield self.waiting.popleft()


async def test_a_batch_is_what_waits_up_to_the_capacity() -> None:
    puller = RequestPuller(FakeStream(1, 2, 3, 4))
    assert await puller.batch(3) == [1, 2, 3]
    assert await puller.batch(3) == [4]
    with pytest.raises(StopAsyncIteration):
        await puller.batch(3)


async def test_a_queue_that_was_cleared_does_not_hold_up_what_was_pulled() -> None:
    stream = FakeStream(1, 2)
    puller = RequestPuller(stream)
    stream.lost = False
    first = asyncio.create_task(puller.batch(1))
    assert await first == [1]
    stream.lost = True
    stuck = asyncio.create_task(puller.batch(2))
    await asyncio.sleep(0)
    assert not stuck.done()
    stuck.cancel()
    puller.close()


def test_every_request_of_a_record_is_understood() -> None:
    requests, invalid = requests_of(record(*[entry(request(f"job_{n}")) for n in range(256)]), "plain")
    assert [r.requested.job_id for r in requests] == [f"job_{n}" for n in range(256)]
    assert (requests[0].event_id, requests[0].partition, invalid) == ("e", 1, [])


def released() -> Message:
    return AttemptReleased(job_id="j", asset_id="a", run=1, step="plain", attempt=1, lease_id="l")


def foreign(**changes: Any) -> Message:
    return type(request())(**{**{f: getattr(request(), f) for f in request().__struct_fields__}, **changes})


@pytest.mark.parametrize(
    "bad, code",
    [
        (b'{"no": "event"}', "not-an-event"),
        (entry(released()), "unexpected-type"),
        (entry(request(step="transcode")), "invalid-message"),
        (entry(foreign(asset_id="../../etc")), "invalid-message"),
        (entry(foreign(asset_id="a/b")), "invalid-message"),
        (entry(foreign(job_id="")), "invalid-message"),
        (entry(foreign(attempt=0)), "invalid-message"),
    ],
)
def test_what_is_no_request_is_told_apart_from_its_neighbours(bad: bytes, code: str) -> None:
    requests, invalid = requests_of(record(entry(request("job_1")), bad, entry(request("job_2"))), "plain")
    assert [r.requested.job_id for r in requests] == ["job_1", "job_2"]
    assert [entry.error.code for entry in invalid] == [code]
