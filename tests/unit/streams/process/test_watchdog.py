"""Standing still for too long is a hang; moving, having nothing to do, or not having run oneself is none."""

import asyncio
import time
from collections.abc import Hashable
from typing import Any

from streams.process.exit import EX_HUNG
from streams.process.watchdog import LoopBeat, Watch, Watchdog


def watch(*stands: Hashable | None, limit_s: float = 3.0) -> list[bool]:
    """Whether it hangs, look by look, one second each."""
    looks = iter(stands)
    watched = Watch("it", lambda: next(looks), limit_s)
    return [watched.hangs(1.0) for _ in stands]


def test_standing_still_beyond_the_limit_is_a_hang() -> None:
    assert watch(7, 7, 7, 7, 7) == [False, False, False, False, True]


def test_what_moves_or_waits_for_nothing_never_hangs() -> None:
    assert not any(watch(*range(20)))
    assert not any(watch(*([None] * 20)))
    assert not any(watch(*([7, 7, None] * 20)))


def test_a_probe_that_cannot_look_now_is_no_hang() -> None:
    def probe() -> Hashable:
        raise RuntimeError("dictionary changed size during iteration")

    watched = Watch("it", probe, 0.5)
    assert not any(watched.hangs(1.0) for _ in range(5))


async def ends_of(work: Any, limit_s: float) -> list[int]:
    """Codes with which a watchdog ended the process during `work`."""
    beat, ends = LoopBeat(), list[int]()
    beating = asyncio.create_task(beat.run())
    Watchdog([Watch("the loop", beat, limit_s)], lambda code, *_, **__: ends.append(code), tick_s=0.05).start()
    await work()
    beating.cancel()
    return ends


async def test_a_blocked_loop_ends_the_process() -> None:
    async def block() -> None:
        await asyncio.sleep(0.1)
        time.sleep(1.5)

    assert await ends_of(block, limit_s=0.9) == [EX_HUNG]


async def test_a_loop_that_is_only_busy_does_not() -> None:
    async def work() -> None:
        for _ in range(10):
            time.sleep(0.1)
            await asyncio.sleep(0)

    assert await ends_of(work, limit_s=0.9) == []
