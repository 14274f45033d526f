"""Power cuts: a disk in a file whose unsynced content can be dropped. In a mount namespace of this process's own."""

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

#: Source: linux/fs/ext4/ext4.h, EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH: neither journal nor data is written.
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2


class Disk:
    """An ext4 file system with a journal, mounted at `folder`. Needs `tests.chaos.disks.private_mounts`."""

    def __init__(self, image: Path, folder: Path, megabytes: int) -> None:
        self._image, self.folder = image, folder
        folder.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True, capture_output=True)
        self.plug_in()

    def plug_in(self) -> None:
        """Mount it, with what was synced before a cut."""
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self.folder)], check=True, capture_output=True)

    def cut(self) -> None:
        """Drop what is not synced; every later access fails until `plug_in`. End its users before that."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def unplug(self, within_s: float = 60.0) -> None:
        """Unmount it after a cut, once its users have ended, sandboxes that were made before with copies of all mounts
        among them: a file system that somebody has would be mounted again as it is.
        """
        deadline = time.monotonic() + within_s
        while subprocess.run(["umount", str(self.folder)], check=False, capture_output=True).returncode:
            self._wait(deadline)
        while subprocess.run(["losetup", "--associated", str(self._image)], check=True, capture_output=True).stdout:
            self._wait(deadline)

    def _wait(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{self.folder} is still in use")
        time.sleep(0.05)


def can_cut(folder: Path) -> bool:
    """Whether this machine can mount such a disk. `folder`: for the attempt."""
    try:
        disk = Disk(folder / "image", folder / "mounted", 8)
        disk.cut()
    except (OSError, subprocess.CalledProcessError):
        return False
    disk.unplug()
    return True
