"""What a test does to the disk, in order: which files were synced and renamed. A crash may undo what was not synced."""

import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest


class DiskEvent(NamedTuple):
    """A file or folder, by its inode, was synced or renamed."""

    kind: Literal["sync", "rename"]
    inode: int


class DiskEvents(list[DiskEvent]):
    """Filled by `record`."""

    def synced_before_renamed(self, path: Path) -> bool:
        """Whether the content of a file was on the disk when the file got its name."""
        inode = path.stat().st_ino
        return DiskEvent("sync", inode) in self[: self.index(DiskEvent("rename", inode))]

    def synced_after_renamed(self, path: Path, folder: Path) -> bool:
        """Whether the names in `folder` were synced after the file got its name."""
        renamed = self.index(DiskEvent("rename", path.stat().st_ino))
        return DiskEvent("sync", folder.stat().st_ino) in self[renamed:]


def record(monkeypatch: pytest.MonkeyPatch) -> DiskEvents:
    """Record all events of this process until the end of the test."""
    events = DiskEvents()
    fsync = os.fsync

    def synced(fd: int) -> None:
        fsync(fd)
        events.append(DiskEvent("sync", os.fstat(fd).st_ino))

    def renaming(rename: Any) -> Any:
        def renamed(source: Any, target: Any, **options: Any) -> None:
            inode = os.stat(source).st_ino  # noqa: PTH116 - it may be a file name relative to a descriptor
            rename(source, target, **options)
            events.append(DiskEvent("rename", inode))

        return renamed

    monkeypatch.setattr(os, "fsync", synced)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, renaming(getattr(os, name)))
    return events
