"""Runs `kinolog` with a clock that somebody else can set: `python -m tests.chaos.clockwork CLOCKFILE control`.

The file holds one double, how many seconds the clock is ahead. The product has no such switch.
"""

import mmap
import struct
import sys
import time
from pathlib import Path

_OFFSET = struct.Struct("d")
_true_time, _true_time_ns = time.time, time.time_ns


def set_clock(file: Path, ahead_s: float) -> None:
    """Let whoever runs with `file` be ahead by that much, from now on."""
    with file.open("r+b" if file.exists() else "w+b") as opened:
        opened.write(_OFFSET.pack(ahead_s))


def follow(file: Path) -> None:
    """Make `file` the clock of this process."""
    with file.open("r+b") as opened:
        shared = mmap.mmap(opened.fileno(), _OFFSET.size)

    def ahead_s() -> float:
        value: float = _OFFSET.unpack_from(shared)[0]
        return value

    time.time = lambda: _true_time() + ahead_s()
    time.time_ns = lambda: _true_time_ns() + int(ahead_s() * 1e9)


if __name__ == "__main__":
    follow(Path(sys.argv.pop(1)))
    from streams.cli.main import main

    main()
