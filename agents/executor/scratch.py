"""Scratch space: one folder per attempt, removed whatever happens, swept when its process was killed."""

import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from processors.storage.local_files import remove_hostile_tree
from processors.threads import in_thread

#: What a tool's process may be called: the tool, or what stands before it on its command line.
TOOL_NAMES = frozenset({"ffmpeg", "ffprobe", "bwrap", "unshare", "setpriv", "prlimit", "choom"})

log = logging.getLogger(__name__)


class Space(NamedTuple):
    """The folders of one attempt."""

    folder: Path
    #: For whatever is needed on the way.
    work: Path
    #: For what shall be published.
    output: Path


class Scratch:
    """The scratch space of one executor; nobody else works below `root`, its name is locked."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def sweep(self) -> None:
        """End what still works below, and remove everything: a killed process of the same name left it."""
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
    """Tools die with their executor, but one that was just being started may have missed it."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # no process, or it ended meanwhile
            program, *arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(program).name in TOOL_NAMES and any(f"{root}/" in argument for argument in arguments):
                log.warning("a tool outlived its executor and is ended", extra={"pid": folder.name, "tool": program})
                os.kill(int(folder.name), signal.SIGKILL)


def _make(space: Space) -> None:
    for folder in (space.work, space.output):
        folder.mkdir(parents=True, exist_ok=True)


def _remove(folder: Path) -> None:
    try:
        remove_hostile_tree(folder)
    except FileNotFoundError:
        return  # it never came into being
    except OSError as error:  # the outcome of the attempt stands; the next start sweeps it
        log.warning("scratch space could not be removed", extra={"folder": str(folder), "error": str(error)})
