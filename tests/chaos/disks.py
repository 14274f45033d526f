"""Small disks that can be filled, in a mount namespace of our own: whatever kills us, nothing stays mounted."""

import contextlib
import os
import subprocess
from pathlib import Path

from tests.chaos.namespaces import MOUNTS, unshare

_FILLING = "filling"
_PIECE = b"\0" * 65536


def private_mounts() -> bool:
    """Give this process mounts of its own; False where the machine does not allow that. Before there are threads."""
    if not unshare(MOUNTS):
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], check=False, stderr=subprocess.DEVNULL).returncode == 0


def mount(folder: Path, megabytes: int) -> None:
    """Put a disk of that size at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave not a byte free on the disk of `folder`."""
    with contextlib.suppress(OSError), (folder / _FILLING).open("ab", buffering=0) as file:
        while True:
            if file.write(_PIECE) < len(_PIECE):
                os.write(file.fileno(), b"\0")


def free(folder: Path) -> None:
    """Give the room back."""
    (folder / _FILLING).unlink(missing_ok=True)


def take_away(folder: Path) -> None:
    """Every disk below `folder`, also one on which a process that is just ending still has a file."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in mounts:
        if Path(place).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", place], check=True)
