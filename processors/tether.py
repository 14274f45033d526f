"""Child processes that do not outlive us, whatever kills us."""

import os
import shutil
from collections.abc import Sequence

#: Ends when the parent is gone already: it may have died before the kernel was asked to watch it.
_STILL_THERE = '[ "$PPID" = "$0" ] && exec "$@"'


def tethered(argv: Sequence[str]) -> list[str]:
    """`argv`, run so that the kernel kills it when the thread that starts it ends. Unchanged where setpriv is missing.

    By exec and not by preexec_fn, which may deadlock in a process with threads.
    Source: setpriv(1), prctl(2) PR_SET_PDEATHSIG.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return list(argv)
    return [setpriv, "--pdeathsig", "KILL", "--", "/bin/sh", "-c", _STILL_THERE, str(os.getpid()), *argv]
