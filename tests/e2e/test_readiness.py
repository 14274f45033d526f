"""/readyz of a running system: quiet while all is well and while control restarts, loud when nobody decides."""

import asyncio
import os
import signal
import time

import aiohttp

from tests.conftest import eventually
from tests.e2e.system import System

#: How long control may be silent, less what a look takes; and what is logged when it decides.
SILENCE_S, STARTED = 9.0, "ready part=control"


async def readiness(system: System) -> tuple[int, str]:
    """Status and reason."""
    async with aiohttp.ClientSession() as session, session.get(f"{system.url}/readyz") as answer:
        return answer.status, (await answer.json()).get("detail", "")


async def is_ready(system: System) -> bool:
    return (await readiness(system))[0] == 200


async def statuses(system: System, seconds: float) -> set[int]:
    """Of five looks a second."""
    seen, end = set[int](), time.monotonic() + seconds
    while time.monotonic() < end:
        seen.add((await readiness(system))[0])
        await asyncio.sleep(0.2)
    return seen


async def statuses_of_a_restart(system: System) -> set[int]:
    """While control is killed and started again, without those of a start that takes longer than a silence may last."""
    starts, seen = system.log().count(STARTED), set[int]()
    system.kill("control")
    end = time.monotonic() + SILENCE_S
    while time.monotonic() < end and system.log().count(STARTED) == starts:
        seen.add((await readiness(system))[0])
        await asyncio.sleep(0.2)
    await eventually(lambda: system.log().count(STARTED) > starts, within_s=60)
    return seen


async def test_readiness_hears_of_a_control_that_does_not_decide_and_of_nothing_else(fragile: System) -> None:
    assert await statuses(fragile, 12.0) == {200}  # idle, for longer than a silence may last
    assert await statuses_of_a_restart(fragile) == {200}  # it is back within some seconds
    await eventually(lambda: is_ready(fragile), within_s=10)
    assert await statuses(fragile, 3.0) == {200}
    frozen, began = fragile.pid("control"), time.monotonic()
    os.kill(frozen, signal.SIGSTOP)
    try:
        await eventually(lambda: is_unready(fragile), within_s=11)
        assert time.monotonic() - began < 10.5
        assert "control has not reported" in (await readiness(fragile))[1]
    finally:
        os.kill(frozen, signal.SIGCONT)  # it has been away for too long, and is started again
    await eventually(lambda: is_ready(fragile), within_s=60)
    assert await statuses(fragile, 3.0) == {200}


async def is_unready(system: System) -> bool:
    return not await is_ready(system)
