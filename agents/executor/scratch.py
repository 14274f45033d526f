"""Scratch space: one folder per attempt, always removed; after a kill, at the next start."""

import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from processors.storage.local_files import remove_hostile_tree
from processors.threads import in_thread

#: Names of tool processes: the tools, and the wrappers that start them.
TOOL_NAMES = frozenset({"ffmpeg", "ffprobe", "bwrap", "unshare", "setpriv", "prlimit", "choom"})

log = logging.getLogger(__name__)


class Space(NamedTuple):
    """The folders of one attempt."""

    folder: Path
    #: For temporary files.
    work: Path
    #: For files to publish.
    output: Path


class Scratch:
    """The scratch space of one executor. `root` is its own, because its name is locked."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def sweep(self) -> None:
        """Kill tools that still work below `root`, and remove everything: a killed process of this name left it."""
        await in_thread(_end_tools, self.root)
        await in_thread(_remove, self.root)

    @contextlib.asynccontextmanager
    async def space(self, name: str) -> AsyncIterator[Space]:
        """Empty folders for one attempt. Raises OSError."""
        space = Space(self.root / name, self.root / name / "work", self.root / name / "output")
        try:
            await in_thread(_make, space)
            yield space
        finally:
            await in_thread(_remove, space.folder)


def _end_tools(root: Path) -> None:
    """Tools die with their executor, except one that was about to start."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # not a process, or it has exited
            program, *arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(program).name in TOOL_NAMES and any(f"{root}/" in argument for argument in arguments):
                log.warning("orphaned tool killed", extra={"pid": folder.name, "tool": program})
                os.kill(int(folder.name), signal.SIGKILL)


def _make(space: Space) -> None:
    for folder in (space.work, space.output):
        folder.mkdir(parents=True, exist_ok=True)


def _remove(folder: Path) -> None:
    try:
        remove_hostile_tree(folder)
    except FileNotFoundError:
        return  # it was never created
    except OSError as error:  # the attempt keeps its outcome; the next start removes the folder
        log.warning("scratch space could not be removed", extra={"folder": str(folder), "error": str(error)})
