"""Requests are taken in groups; what is no request harms nobody."""

import asyncio
from collections import deque
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from agents.executor.identity import ExecutorName
from agents.executor.main import Executor
from agents.executor.requests import InvalidRequest, RequestPuller, requests_of
from agents.executor.running import Request
from schemas.base import Message
from schemas.step_events import AttemptReleased
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.settings import Settings
from tests.unit.agents.executor.fakes import request


class FakeStream:
    """A Faust stream of whatever is in its queue; `lost` puller never come back, as after a rebalance."""

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


async def test_a_group_is_what_waits_and_has_room() -> None:
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


def entry(message: Message) -> bytes:
    return structured(message, event_id="e", source="test", subject="asset_1")


def record(*entries: bytes) -> Any:
    value = batch(entries)
    return SimpleNamespace(value=value, headers=BATCH_HEADERS, partition=1, topic="t", offset=7, key=None)


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


async def test_a_request_that_cannot_be_accepted_takes_none_of_its_group_with_it(tmp_path: Path) -> None:
    executor = Executor(Settings(data_dir=str(tmp_path)), ExecutorName("e", "e-1", StringIO()), [])
    accepted, letters = list[str](), list[str]()

    async def accept(requests: list[Request]) -> None:
        if any(found.requested.job_id == "job_2" for found in requests):
            raise RuntimeError("a bug")
        accepted.extend(found.requested.job_id for found in requests)

    async def dead_letter(invalid: InvalidRequest) -> None:
        letters.append(invalid.error.code)

    vars(executor)["_attempts"] = SimpleNamespace(accept=accept)
    vars(executor)["_dead_letter"] = dead_letter
    events = [SimpleNamespace(message=record(entry(request(f"job_{n}"))), acked=False) for n in (1, 2, 3)]
    for event in events:
        event.ack = lambda event=event: setattr(event, "acked", True)
    await executor._take(events, "plain", "normal")
    assert (accepted, letters) == (["job_1", "job_3"], ["internal-error"])
    assert all(event.acked for event in events)
