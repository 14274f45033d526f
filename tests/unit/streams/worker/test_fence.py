"""A process that was stopped for too long ends before it acts on partitions that others have by now."""

import asyncio
from typing import Any, NoReturn

import pytest

from streams.process.exit import EX_FENCED
from streams.worker import fence
from streams.worker.fence import Fence

SESSION_S = 6.0


class Ended(Exception):
    """The process has ended with this code."""


class Clock:
    """A clock that goes on by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    def end(code: int, _reason: str, **_facts: Any) -> NoReturn:
        raise Ended(code)

    clock = Clock()
    monkeypatch.setattr(fence, "time", clock)
    monkeypatch.setattr(fence, "end_process", end)
    return clock


async def stamped() -> Fence:
    """A fence whose process is alive at this moment."""
    armed = Fence(SESSION_S)
    running = asyncio.ensure_future(armed.run())
    await asyncio.sleep(0)
    running.cancel()
    return armed


async def test_a_process_that_was_stopped_for_longer_than_its_session_ends(clock: Clock) -> None:
    armed = await stamped()
    clock.now += SESSION_S
    with pytest.raises(Ended) as ended:
        armed.check()
    assert ended.value.args == (EX_FENCED,)


async def test_it_ends_before_its_session_does(clock: Clock) -> None:
    armed = await stamped()
    clock.now += SESSION_S * 0.8
    with pytest.raises(Ended):
        await armed.run()


async def test_a_busy_moment_ends_nobody(clock: Clock) -> None:
    armed = await stamped()
    clock.now += SESSION_S / 2
    armed.check()
    Fence(SESSION_S).check()  # not running yet
