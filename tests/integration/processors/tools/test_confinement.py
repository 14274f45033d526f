"""How tools are run: bounded, cancelled, reaped. What they cannot reach: see test_sandbox_proof.py."""

import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from processors.errors import LimitExceeded, ProcessingError, ToolTimedOut
from processors.tools import sandbox as sandboxes
from processors.tools.cpu_priority import NICE_HEAVY
from processors.tools.limits import Limits
from processors.tools.runner import Command, Runner
from processors.tools.sandbox import FileAccess, Isolation, Sandbox
from tests.e2e.system import processes_naming

_ENDLESS = "while true; do echo x; done"


def _shell(folder: Path, script: str, timeout_s: float = 60.0) -> Command:
    return Command(argv=("bash", "-c", script), access=FileAccess(writes=(folder,), cwd=folder), timeout_s=timeout_s)


@pytest.fixture
def runner(sandbox: Sandbox) -> Runner:
    return Runner(Limits(tool_file_bytes=100_000), sandbox)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


async def test_files_larger_than_allowed_end_the_tool(runner: Runner, folder: Path) -> None:
    with pytest.raises(LimitExceeded):
        await runner.run(_shell(folder, "exec head -c 200000 /dev/zero > large"))
    assert (folder / "large").stat().st_size <= 100_000


async def test_time_is_bounded_and_nothing_is_left(runner: Runner, folder: Path) -> None:
    with pytest.raises(ToolTimedOut, match="did not finish") as caught:
        await runner.run(_shell(folder, "exec sleep 60", timeout_s=0.3))
    assert caught.value.retriable
    assert not processes_naming(str(folder))


async def test_who_computes_all_the_time_is_not_asked_again(runner: Runner, folder: Path) -> None:
    with pytest.raises(LimitExceeded, match="processor time") as caught:
        await _busy_enough(runner, folder)
    assert not caught.value.retriable


async def _busy_enough(runner: Runner, folder: Path) -> None:
    """On a machine with others on it a loop may not get its half of the time: then with more of it."""
    for timeout_s in (1.0, 4.0, 16.0):
        try:
            await runner.run(_shell(folder, "while true; do :; done", timeout_s=timeout_s))
        except ToolTimedOut:
            continue


async def test_a_tool_stands_back(runner: Runner, folder: Path) -> None:
    command = replace(_shell(folder, f"exec -a {folder} sleep 60"), nice=NICE_HEAVY)
    working = asyncio.create_task(runner.run(command))
    try:
        async with asyncio.timeout(20):  # its priority is lowered once it has started
            while [os.getpriority(os.PRIO_PROCESS, pid) for pid in _asleep(folder)] != [NICE_HEAVY]:
                await asyncio.sleep(0.05)
    finally:
        working.cancel()
        await asyncio.wait([working])


def _asleep(folder: Path) -> list[int]:
    return [pid for pid in processes_naming(str(folder)) if _name_of(pid) == "sleep"]


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""  # it has ended


async def test_much_output_is_kept_by_its_end(runner: Runner, folder: Path) -> None:
    words = await runner.run(_shell(folder, "for ((i = 1; i <= 30000; i++)); do echo $i >&2; done"))
    assert words.endswith("30000")
    assert len(words) <= 64 * 1024


async def test_a_tool_that_is_not_there_is_said(folder: Path) -> None:
    bare = Runner(Limits(), Sandbox(isolation=Isolation.BOUNDS))
    with pytest.raises(ProcessingError) as caught:
        await bare.run(Command(argv=("no-such-tool",), access=FileAccess(cwd=folder), timeout_s=10))
    assert caught.value.code == "tool-failed"


@pytest.mark.parametrize("script", [_ENDLESS, f"trap '' TERM; {_ENDLESS}"])
async def test_cancelling_kills_within_two_seconds(runner: Runner, folder: Path, script: str) -> None:
    begun = asyncio.Event()
    running = asyncio.create_task(runner.run(_shell(folder, script), lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    at = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - at < 2
    assert not processes_naming(str(folder))


async def test_a_cancel_while_the_tool_is_being_started_leaves_nothing(runner: Runner, folder: Path) -> None:
    marker = uuid.uuid4().hex
    for number in range(16):
        running = asyncio.create_task(runner.run(_shell(folder, f"exec -a {marker} sleep 60")))
        await asyncio.sleep(number * 0.002)  # from before the first process to after the last
        running.cancel()
        await asyncio.wait([running], timeout=10)
        assert running.cancelled()
        assert not processes_naming(marker)


async def test_a_second_cancel_does_not_leave_the_tool_behind(folder: Path) -> None:
    runner, begun = Runner(Limits(), Sandbox(isolation=Isolation.BOUNDS)), asyncio.Event()
    command = _shell(folder, f"trap '' TERM; : {folder}; {_ENDLESS}")
    running = asyncio.create_task(runner.run(command, lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not processes_naming(str(folder))


async def test_a_trial_that_outlives_us_is_where_sweeps_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    stock = sandboxes._succeeds

    async def succeeds(argv: Sequence[str], fds: tuple[int, ...]) -> bool:
        tried.extend(argv)
        return await stock(argv, fds)

    monkeypatch.setattr(sandboxes, "_succeeds", succeeds)
    await Runner(Limits(), trials=tmp_path / "scratch").sandbox()
    assert any(f"{tmp_path}/scratch/" in argument for argument in tried)
    assert list((tmp_path / "scratch").iterdir()) == []
