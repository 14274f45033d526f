"""Scratch space: one folder per attempt, removed whatever happens, swept when its process was killed."""

import contextlib
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from processors.store import in_thread

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
        """Remove everything: a killed process of the same name left it."""
        await in_thread(shutil.rmtree, self.root, True)

    @contextlib.asynccontextmanager
    async def space(self, name: str) -> AsyncIterator[Space]:
        """Empty folders for one attempt. Raises OSError."""
        space = Space(self.root / name, self.root / name / "work", self.root / name / "output")
        try:
            await in_thread(_make, space)
            yield space
        finally:
            await in_thread(_remove, space.folder)


def _make(space: Space) -> None:
    for folder in (space.work, space.output):
        folder.mkdir(parents=True, exist_ok=True)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return  # it never came into being
    except OSError as error:  # the outcome of the attempt stands; the next start sweeps it
        log.warning("scratch space could not be removed", extra={"folder": str(folder), "error": str(error)})
