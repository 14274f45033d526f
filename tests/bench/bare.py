"""The media commands of the pipeline run bare: no log, no sandbox, no supervision, one after another."""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from processors.contract import Processor, Work
from processors.media.profiles import load_profiles
from processors.probe import Prober
from processors.thumbnails import Thumbnailer
from processors.tools.limits import Limits
from processors.tools.runner import Command, Runner, ignore
from processors.transcode import Transcoder
from streams.data_files import profiles_dir
from streams.settings import load


class Recorder(Runner):
    """Runs commands and remembers them."""

    commands: list[Command]

    async def run(
        self,
        command: Command,
        on_stdout: Callable[[bytes], None] = ignore,
        on_stderr: Callable[[bytes], None] = ignore,
    ) -> str:
        """As Runner.run."""
        self.commands.append(command)
        return await super().run(command, on_stdout, on_stderr)


async def bare_seconds(clip: Path) -> float:
    """Seconds that the pipeline's own commands take on `clip` when they are run one after another."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Limits(sandbox="off"))
        recorder.commands = []
        await _walk(recorder, clip, Path(folder))
        began = time.monotonic()
        for command in recorder.commands:
            await asyncio.to_thread(
                subprocess.run, command.argv, cwd=command.access.cwd, check=True, capture_output=True, timeout=900
            )
        return time.monotonic() - began


async def _walk(runner: Runner, clip: Path, folder: Path) -> None:
    """Do the steps once, so that their commands are known."""
    settings = load({})
    cpus = settings.executor.cpus or len(os.sched_getaffinity(0))
    probe = await _step(Prober(runner), "probe", clip, folder, {}, cpus=1)
    inputs = {"probe": msgspec.to_builtins(probe)}
    await _step(Transcoder(runner, load_profiles(profiles_dir(settings))), "transcode", clip, folder, inputs, cpus=cpus)
    await _step(Thumbnailer(runner), "thumbnails", clip, folder, inputs, cpus=1)


async def _step(
    processor: Processor, name: str, clip: Path, folder: Path, inputs: dict[str, Any], *, cpus: int
) -> msgspec.Struct:
    scratch, output = folder / name / "scratch", folder / name / "output"
    for place in (scratch, output):
        place.mkdir(parents=True)
    return await processor.process(
        Work(source=clip, scratch=scratch, output=output, prefix=name, inputs=inputs, cpus=cpus)
    )
