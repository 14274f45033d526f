"""Who goes first where CPUs are short: who answers people, then who decides, then who works, then the tools."""

import contextlib
import os
from pathlib import Path

#: The broker and web have 0: an upstream service never waits for media work.
NICE_CONTROL = 5
NICE_EXECUTOR = 10
#: For what takes long and all CPUs: encoders, models.
NICE_HEAVY = 15
#: For what runs beside that.
NICE_LIGHT = 19


def stand_back(pid: int, nice: int) -> None:
    """Let a child, started just now in a session of its own, go behind others, 0-19. Harmless where it has ended.

    With autogroups niceness counts within a session only, so the session stands back too.
    Source: sched(7), setpriority(2).
    """
    if not nice:
        return
    with contextlib.suppress(OSError):  # it has ended
        os.setpriority(os.PRIO_PGRP, pid, max(nice, os.getpriority(os.PRIO_PGRP, pid)))
    with contextlib.suppress(OSError):  # this kernel has no autogroups
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
