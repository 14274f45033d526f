"""Scratch space of an executor that was killed."""

import shutil
import signal
import subprocess
from pathlib import Path

from agents.scratch import Scratch


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
