"""CPU priorities: web and the broker first, then control, executors and tools."""

import contextlib
import os
from pathlib import Path

#: The broker and web have 0: requests never wait for media work.
NICE_CONTROL = 5
NICE_EXECUTOR = 10
#: For long work on all CPUs: encoders, models.
NICE_HEAVY = 15
#: For work that runs next to that.
NICE_LIGHT = 19


def lower_priority(pid: int, nice: int) -> None:
    """Lower the CPU priority of a child that was started in its own session, 0-19. Harmless if it has exited.

    With autogroups niceness applies within a session only, so the session is lowered too.
    Source: sched(7), setpriority(2).
    """
    if not nice:
        return
    with contextlib.suppress(OSError):  # it has exited
        os.setpriority(os.PRIO_PGRP, pid, max(nice, os.getpriority(os.PRIO_PGRP, pid)))
    with contextlib.suppress(OSError):  # no autogroups in this kernel
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
