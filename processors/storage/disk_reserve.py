"""The reserve of a disk: free space that media may not use, so that the log and the rows on it can go on."""

import asyncio
import errno
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

#: Largest reserve of a disk, as a share of its size.
_LARGEST_SHARE = 0.1
_CHECK_S = 1.0


class ReserveReached(OSError):
    """The free space of a disk is reserved."""

    def __init__(self, folder: Path) -> None:
        super().__init__(errno.ENOSPC, "the free space of this disk is reserved", str(folder))


class DiskSpace(NamedTuple):
    """Space of a disk, bytes."""

    #: What users may fill, used space included: a file system's own share is left out.
    size_bytes: int
    free_bytes: int
    #: Free space that media may not use.
    reserve_bytes: int


@dataclass(frozen=True)
class DiskReserve:
    """Free space of each disk that stays free of media, bytes; a tenth of a disk at most. 0: none."""

    reserve_bytes: int = 0

    def space(self, folder: Path) -> DiskSpace:
        """Space of the disk of `folder`. Raises OSError."""
        disk = os.statvfs(folder)
        reserve = min(self.reserve_bytes, int(disk.f_blocks * disk.f_frsize * _LARGEST_SHARE))
        usable = disk.f_blocks - disk.f_bfree + disk.f_bavail
        return DiskSpace(usable * disk.f_frsize, disk.f_bavail * disk.f_frsize, reserve)

    def missing_bytes(self, folder: Path, more_bytes: int = 0) -> int:
        """What the disk of `folder` lacks to keep the reserve after `more_bytes` are written; <= 0: nothing."""
        disk = self.space(folder)
        return disk.reserve_bytes + more_bytes - disk.free_bytes if disk.reserve_bytes else 0

    def require(self, folder: Path, more_bytes: int = 0) -> None:
        """Raise ReserveReached if `more_bytes` on the disk of `folder` would use its reserve."""
        if self.missing_bytes(folder, more_bytes) > 0:
            raise ReserveReached(folder)

    async def guard(self, folder: Path, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled when the disk of `folder` has only its reserve left.

        Raises ReserveReached then, and what `work` raises.
        """
        working, watching = asyncio.ensure_future(work), asyncio.ensure_future(self._until_reached(folder))
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await watching
            return await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _until_reached(self, folder: Path) -> None:
        while True:
            self.require(folder)
            await asyncio.sleep(_CHECK_S)


NO_RESERVE = DiskReserve()
