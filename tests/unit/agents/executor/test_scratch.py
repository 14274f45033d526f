"""Scratch space of an executor that was killed."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from agents.executor.scratch import Scratch


async def test_a_sweep_ends_the_tools_that_outlived_their_executor_and_nobody_else(tmp_path: Path) -> None:
    root = tmp_path / "scratch" / "default-1"
    (root / "attempt").mkdir(parents=True)
    tool = shutil.copy("/bin/bash", tmp_path / "ffmpeg")  # a shell that waits, under a tool's name
    commands: dict[str, tuple[str, str]] = {
        "left": (str(tool), f"{root}/attempt/x.mp4"),
        "of another executor": (str(tool), f"{root}0/attempt/x.mp4"),
        "no tool": ("/bin/bash", f"{root}/attempt/x.mp4"),
    }
    running = {
        name: subprocess.Popen([program, "-c", "read -t 60", path], stdin=subprocess.PIPE)
        for name, (program, path) in commands.items()
    }
    try:
        await Scratch(root).sweep()
        assert running["left"].wait(5) == -signal.SIGKILL
        assert running["of another executor"].poll() is None
        assert running["no tool"].poll() is None
        assert not root.exists()
    finally:
        for process in running.values():
            process.kill()
            process.communicate()


async def test_whatever_a_tool_has_made_is_removed(tmp_path: Path) -> None:
    async with Scratch(tmp_path / "scratch").space("attempt") as space:
        _nest(space.work, 3000)
        (space.work / "closed" / "inner").mkdir(parents=True)
        (space.work / "closed").chmod(0)
        (space.work / "etc").symlink_to("/etc")
        os.mkfifo(space.output / "pipe")
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_sweep_gets_at_everything(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    _nest(tmp_path / "scratch", 3000)
    scratch = Scratch(tmp_path / "scratch")
    await scratch.sweep()
    await scratch.sweep()
    assert not scratch.root.exists()


def _nest(folder: Path, depth: int) -> None:
    """Folders within each other, longer than a path may be."""
    opened = os.open(folder, os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("x" * 20, dir_fd=opened)
        inner = os.open("x" * 20, os.O_DIRECTORY, dir_fd=opened)
        os.close(opened)
        opened = inner
    os.close(opened)
