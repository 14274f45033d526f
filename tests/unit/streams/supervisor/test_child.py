"""Children as real, tiny processes: ready when they say so, gone when we stop, and gone when we are killed."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from streams.supervisor.child import Child

SAY_READY = "from streams.process.sd_notify import ready; ready(); "
FOR_EVER = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
ROOT = Path(__file__).resolve().parents[4]


class Tiny(Child):
    """A child whose output can be read."""

    def __init__(self, code: str, nice: int = 0) -> None:
        self.out = io.BytesIO()
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        super().__init__("tiny", [sys.executable, "-c", code], environ, log_format="text", out=self.out, nice=nice)


MakeChild = Callable[[str], Tiny]


@pytest.fixture
async def make_child() -> AsyncIterator[MakeChild]:
    made: list[Tiny] = []

    def make(code: str) -> Tiny:
        made.append(Tiny(code))
        return made[-1]

    yield make
    for child in made:
        await child.stop(0.0)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_child_is_ready_when_it_says_so_and_not_before(make_child: MakeChild) -> None:
    silent, ready = make_child(FOR_EVER), make_child(SAY_READY + FOR_EVER)
    await silent.start()
    await ready.start()
    await asyncio.wait_for(ready.wait_ready(), 10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(silent.wait_ready(), 0.05)


async def test_a_child_can_be_started_again_and_must_say_again_that_it_is_ready(make_child: MakeChild) -> None:
    child = make_child(SAY_READY + "raise SystemExit(7)")
    await child.start()
    first = child.pid
    assert await asyncio.wait_for(child.wait(), 10) == 7
    await child.start()
    await asyncio.wait_for(child.wait_ready(), 10)
    assert child.pid != first


async def test_a_child_stands_back_as_far_as_it_is_told_to() -> None:
    child = Tiny(SAY_READY + FOR_EVER, nice=5)
    await child.start()
    await asyncio.wait_for(child.wait_ready(), 10)
    niceness, session = os.getpriority(os.PRIO_PROCESS, child.pid), Path(f"/proc/{child.pid}/autogroup")
    said = session.read_text() if session.exists() else "no autogroups here, nice 5"
    await child.stop(1.0)
    assert niceness == 5
    assert said.strip().endswith("nice 5")


async def test_a_polite_child_ends_by_itself(make_child: MakeChild) -> None:
    child = make_child(SAY_READY + FOR_EVER)
    await child.start()
    await asyncio.wait_for(child.wait_ready(), 10)
    await child.stop(grace_s=10)
    assert await child.wait() == -signal.SIGTERM


async def test_a_deaf_child_is_killed_in_time(make_child: MakeChild) -> None:
    child = make_child(DEAF + SAY_READY + FOR_EVER)
    await child.start()
    await asyncio.wait_for(child.wait_ready(), 10)
    began = time.monotonic()
    await child.stop(grace_s=0.1)
    assert time.monotonic() - began < 5
    assert await child.wait() == -signal.SIGKILL


async def test_a_stopped_child_cannot_keep_us_from_ending(make_child: MakeChild) -> None:
    child = make_child(SAY_READY + FOR_EVER)
    await child.start()
    await asyncio.wait_for(child.wait_ready(), 10)
    os.kill(child.pid, signal.SIGSTOP)
    await child.stop(grace_s=0.1)
    assert not lives(child.pid)


async def test_a_grandchild_that_keeps_the_pipe_open_does_not_keep_us_waiting(make_child: MakeChild) -> None:
    child = make_child("import subprocess; print(subprocess.Popen(['sleep', '60']).pid)")
    await child.start()
    assert await asyncio.wait_for(child.wait(), 10) == 0
    os.kill(int(child.out.getvalue().split()[-1]), signal.SIGKILL)


PARENT = """
import asyncio, os, signal, sys
from streams.supervisor.child import Child

async def main():
    child = Child("tiny", [sys.executable, "-c", {code!r}], dict(os.environ), log_format="text", out=sys.stderr.buffer)
    await child.start()
    await child.wait_ready()
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


def test_children_die_with_a_parent_that_is_killed() -> None:
    code = PARENT.format(code=DEAF + SAY_READY + FOR_EVER)
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert lives(pid)
        parent.kill()
    deadline = time.monotonic() + 5
    while lives(pid):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.01)
