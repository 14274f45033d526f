"""A tool that a stranger's file has taken over reaches nothing, and never outlives us."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from processors.errors import OutOfCapacity, ProcessingError, ToolFailed, ToolTimedOut
from processors.limits import Limits
from processors.sandbox import Means, Reach, Sandbox
from processors.tools import Command, Runner
from tests.conftest import eventually
from tests.e2e.system import processes_naming

_ENDLESS = "while true; do echo x; done"


def _shell(folder: Path, script: str, timeout_s: float = 60.0) -> Command:
    return Command(argv=("bash", "-c", script), reach=Reach(writes=(folder,), cwd=folder), timeout_s=timeout_s)


async def _output(runner: Runner, command: Command) -> str:
    heard = bytearray()
    await runner.run(command, heard.extend)
    return heard.decode()


@pytest.fixture
def runner(sandbox: Sandbox) -> Runner:
    return Runner(Limits(tool_file_bytes=100_000), sandbox)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


async def test_there_is_no_network(runner: Runner, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ToolFailed):
            await runner.run(_shell(folder, f"exec 3<>/dev/tcp/127.0.0.1/{port}"))


async def test_other_files_are_not_there(runner: Runner, sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    seen = await _output(runner, _shell(folder, f"cat {tmp_path}/secret /etc/passwd 2>/dev/null; echo done"))
    assert seen.endswith("done\n")
    assert ("secret" in seen or "root:" in seen) == (sandbox.means is not Means.BUBBLEWRAP)


async def test_a_source_cannot_be_changed(runner: Runner, sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("as it was")
    reach = Reach(reads=(source,), writes=(folder,), cwd=folder)
    script = f"echo changed > {source}" if sandbox.means is Means.BUBBLEWRAP else "false"
    with pytest.raises(ToolFailed):
        await runner.run(Command(argv=("bash", "-c", script), reach=reach, timeout_s=60))
    assert source.read_text() == "as it was"


async def test_results_can_be_read_by_us_and_privileges_cannot_be_used(runner: Runner, folder: Path) -> None:
    (folder / "below").mkdir()
    assert await _output(runner, _shell(folder, "umask 077; echo result > below/file; id -u")) in {"65534\n", "0\n"}
    assert (folder / "below" / "file").read_text() == "result\n"
    with pytest.raises(ToolFailed):
        await runner.run(_shell(folder, "mount -t tmpfs none ."))


async def test_our_environment_is_not_handed_on(runner: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOLOG_AUTH__TOKEN", "do-not-tell")
    assert "do-not-tell" not in await _output(runner, _shell(folder, "env"))


async def test_files_larger_than_allowed_end_the_tool(runner: Runner, folder: Path) -> None:
    with pytest.raises(OutOfCapacity):
        await runner.run(_shell(folder, "exec head -c 200000 /dev/zero > large"))
    assert (folder / "large").stat().st_size <= 100_000


async def test_time_is_bounded_and_nothing_is_left(runner: Runner, folder: Path) -> None:
    with pytest.raises(ToolTimedOut, match="did not finish"):
        await runner.run(_shell(folder, _ENDLESS, timeout_s=0.3))
    assert not processes_naming(str(folder))


async def test_much_output_is_kept_by_its_end(runner: Runner, folder: Path) -> None:
    words = await runner.run(_shell(folder, "for i in $(seq 30000); do echo $i >&2; done"))
    assert words.endswith("30000")
    assert len(words) <= 64 * 1024


async def test_a_tool_that_is_not_there_is_said(folder: Path) -> None:
    bare = Runner(Limits(), Sandbox(means=Means.BOUNDS))
    with pytest.raises(ProcessingError) as caught:
        await bare.run(Command(argv=("no-such-tool",), reach=Reach(cwd=folder), timeout_s=10))
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
        running = asyncio.create_task(runner.run(_shell(folder, f"sleep 60 # {marker}")))
        await asyncio.sleep(number * 0.002)  # from before the first process to after the last
        running.cancel()
        await asyncio.wait([running], timeout=10)
        assert running.cancelled()
        assert not processes_naming(marker)


async def test_a_second_cancel_does_not_leave_the_tool_behind(folder: Path) -> None:
    runner, begun = Runner(Limits(), Sandbox(means=Means.BOUNDS)), asyncio.Event()
    command = _shell(folder, f"trap '' TERM; : {folder}; {_ENDLESS}")
    running = asyncio.create_task(runner.run(command, lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not processes_naming(str(folder))


_PARENT = """
import asyncio, sys
from pathlib import Path
from processors.limits import Limits
from processors.sandbox import Means, Reach, Sandbox
from processors.tools import Command, Runner
means, uid, folder, marker = sys.argv[1:]
sandbox = Sandbox(means=Means(means), uid=int(uid) if uid else None)
reach = Reach(writes=(Path(folder),), cwd=Path(folder))
command = Command(argv=("sleep", marker), reach=reach, timeout_s=3600)
asyncio.run(Runner(Limits(), sandbox).run(command))
"""


@pytest.mark.parametrize("bare", [False, True])
async def test_a_tool_dies_with_an_executor_that_is_killed(sandbox: Sandbox, folder: Path, *, bare: bool) -> None:
    chosen = Sandbox(means=Means.BOUNDS) if bare else sandbox
    marker = f"3600.{uuid.uuid4().int % 10**12}"
    argv = [sys.executable, "-c", _PARENT, chosen.means.value, str(chosen.uid or ""), str(folder), marker]
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}) as parent:
        try:
            await eventually(lambda: _sleepers(marker), 60)
        finally:
            parent.send_signal(signal.SIGKILL)
    await eventually(lambda: not processes_naming(marker), 5)


def _sleepers(marker: str) -> list[int]:
    return [pid for pid in processes_naming(marker) if Path(f"/proc/{pid}/comm").read_text() == "sleep\n"]
