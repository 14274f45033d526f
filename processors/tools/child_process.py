"""Child processes that end with their parent, and child processes without a network."""

import asyncio
import logging
import os
import shutil
from collections.abc import Sequence

log = logging.getLogger(__name__)

#: Exits if the parent is already gone: it may have died before prctl took effect.
_EXEC_IF_PARENT_LIVES = '[ "$PPID" = "$0" ] && exec "$@"'


def tethered(argv: Sequence[str]) -> list[str]:
    """Wrap `argv` so that the kernel kills it when the thread that starts it ends. Unchanged if setpriv is missing.

    By exec and not by preexec_fn, which may deadlock in a process with threads.
    Source: setpriv(1), prctl(2) PR_SET_PDEATHSIG.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return list(argv)
    return [setpriv, "--pdeathsig", "KILL", "--", "/bin/sh", "-c", _EXEC_IF_PARENT_LIVES, str(os.getpid()), *argv]


async def offline(argv: Sequence[str]) -> list[str]:
    """Wrap `argv` to run without network and privileges; unchanged, with a warning, where that is not possible.

    It keeps its process id, access to its user's files and its process group. Source: unshare(1), setpriv(1).
    """
    isolation = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-current-user"])]
    prefix = [*isolation, "--", "setpriv", "--no-new-privs", "--"]
    if await _works([*prefix, "true"]):
        return [*prefix, *argv]
    log.warning("models can reach the network: unshare does not work on this machine")
    return list(argv)


async def _works(argv: Sequence[str]) -> bool:
    devnull = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=devnull, stdout=devnull, stderr=devnull)
    except OSError:
        return False
    return await process.wait() == 0
