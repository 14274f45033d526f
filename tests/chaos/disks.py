"""Disks that can be filled and slowed, in a mount namespace of our own: whatever kills us, nothing stays mounted."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.namespaces import MOUNTS, unshare

_FILLING = "filling"
#: Down to the smallest block of a filesystem. Plain writes would leave some: it is set aside until they are flushed.
_PIECES = (1 << 20, 1 << 16, 1 << 10)
#: Nothing is kept back for root; a journal would take a good part of a small disk.
_FORMAT = ("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal")


def private_mounts() -> bool:
    """Give this process mounts of its own; False where the machine does not allow that. Before there are threads."""
    if not unshare(MOUNTS):
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], check=False, stderr=subprocess.DEVNULL).returncode == 0


def can_slow() -> bool:
    """Whether a filesystem in a file can be mounted and frozen here. To be asked with private mounts."""
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        place = Path(folder, "mounted")
        try:
            _mount_file(place, Path(folder, "image"), 8)
        except (OSError, subprocess.CalledProcessError):
            return False
        try:
            slowed = subprocess.run(_slow_command(place, 0.0), stdin=subprocess.DEVNULL, check=False, cwd=_root())
        finally:
            take_away(Path(folder))
    return slowed.returncode == 0


def mount(folder: Path, megabytes: int, *, image: Path | None) -> None:
    """Put a disk of that size at `folder`: a filesystem in the file `image`, which can be slowed, or else a tmpfs."""
    if image is not None:
        _mount_file(folder, image, megabytes)
        return
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)], check=True)


def _mount_file(folder: Path, image: Path, megabytes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image.parent.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    subprocess.run([*_FORMAT, str(image)], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True, capture_output=True)
    (folder / "lost+found").rmdir()


def fill(folder: Path) -> None:
    """Leave not a byte free on the disk of `folder`."""
    with (folder / _FILLING).open("ab", buffering=0) as file:
        size = file.tell()
        for piece in _PIECES:
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), size, piece)
                    size += piece


def free(folder: Path) -> None:
    """Give the room back."""
    (folder / _FILLING).unlink(missing_ok=True)


async def slow(folder: Path, stall_s: float, seconds: float) -> None:
    """Let everybody who writes to the disk of `folder` wait, up to `stall_s` at a time, for `seconds`."""
    slowing = await asyncio.create_subprocess_exec(
        *_slow_command(folder, stall_s), stdin=asyncio.subprocess.PIPE, cwd=_root()
    )
    assert slowing.stdin is not None
    try:
        await asyncio.sleep(seconds)
    finally:
        slowing.stdin.close()
        assert await slowing.wait() == 0


def _slow_command(folder: Path, stall_s: float) -> list[str]:
    return [sys.executable, "-m", "tests.chaos.slow_disk", str(folder), str(stall_s)]


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def take_away(folder: Path) -> None:
    """Every disk below `folder`, also one on which a process that is just ending still has a file."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in mounts:
        if Path(place).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", place], check=True)
