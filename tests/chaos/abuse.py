"""The abusive client of a chaos run: the attacks of tests/abuse on one replica, all with one owner's tokens."""

import asyncio
import sys
from pathlib import Path

from processors.tools.child_process import tethered

_ROOT = Path(__file__).resolve().parents[2]
#: Fewer than web serves at once: whoever opens more shuts others out of the machine's backlog, not only out of web.
_SOCKETS = 300
_GRACE_S = 10.0


async def abuse(url: str, seconds: float) -> str:
    """Abuse the replica for a while; returns how it answered, as JSON."""
    command = [sys.executable, "-m", "tests.abuse.attacker", url, "--sockets", str(_SOCKETS)]
    process = await asyncio.create_subprocess_exec(
        *tethered(command), cwd=_ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        await asyncio.sleep(seconds)
        outcomes, _ = await asyncio.wait_for(process.communicate(), _GRACE_S)
        return outcomes.decode()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
