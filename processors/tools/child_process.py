"""Child processes that do not outlive us, whatever kills us, and such that reach no network."""

import asyncio
import logging
import os
import shutil
from collections.abc import Sequence

log = logging.getLogger(__name__)

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


async def offline(argv: Sequence[str]) -> list[str]:
    """`argv`, run without a network and without privileges; unchanged, with a warning, where that does not work.

    It keeps its process id, its user's files and its place in the process group. Source: unshare(1), setpriv(1).
    """
    apart = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-current-user"])]
    prefix = [*apart, "--", "setpriv", "--no-new-privs", "--"]
    if await _works([*prefix, "true"]):
        return [*prefix, *argv]
    log.warning("a model can reach the network: unshare does not work here")
    return list(argv)


async def _works(argv: Sequence[str]) -> bool:
    nowhere = asyncio.subprocess.DEVNULL
    try:
        trial = await asyncio.create_subprocess_exec(*argv, stdin=nowhere, stdout=nowhere, stderr=nowhere)
    except OSError:
        return False
    return await trial.wait() == 0
