"""Makes a disk slow: `python -m tests.chaos.slow_disk FOLDER STALL_S`. Whoever writes to it waits, again and again.

The filesystem is frozen for STALL_S at a time. In a process of its own, until its standard input ends: should the run
be killed, the disk is thawed all the same. Source: ioctl_fs(2), FIFREEZE; who waits cannot even be killed.
"""

import fcntl
import os
import select
import signal
import sys

#: Source: linux/fs.h, _IOWR('X', 119, int) and _IOWR('X', 120, int).
_FREEZE, _THAW = 0xC0045877, 0xC0045878
#: What is waiting gets through, or some of it.
_GO_S = 0.05


def stall(folder: str, stall_s: float) -> None:
    """Freeze and thaw in turn until standard input ends. Raises OSError where the filesystem cannot be frozen."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ended = False
        while not ended:
            fcntl.ioctl(place, _FREEZE, 0)
            try:
                ended = _has_ended(stall_s)
            finally:
                fcntl.ioctl(place, _THAW, 0)
            ended = ended or _has_ended(_GO_S)
    finally:
        os.close(place)


def _has_ended(wait_s: float) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], wait_s)
    return bool(ready)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # only thawed may it end
    stall(sys.argv[1], float(sys.argv[2]))
