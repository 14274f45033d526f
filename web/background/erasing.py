"""Erases from this replica's files what deletions left in them, in small steps, some seconds after a deletion."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable

log = logging.getLogger("kinolog.web")

#: Seconds between checks for deletions: one pass is for all of that time.
_EVERY_S = 5.0
#: Pause after a step, as a multiple of its time: readers and the writer have the disk and a core for most of the time.
_STEP_PAUSE, _SHORTEST_PAUSE_S = 4.0, 0.02
#: Pause after a pass, as a multiple of its time: constant deletions in a large file do not read it all the time.
_PASS_PAUSE = 4.0
_RETRY_S = 60.0


class Erasing:
    """Erases from one file while it is needed."""

    def __init__(self, file: str, needed: threading.Event, step: Callable[[], Awaitable[bool]]) -> None:
        """`step` erases a part; True at the end of a pass, which leaves nothing of what was deleted before it."""
        self._file, self._needed, self._step = file, needed, step

    async def run(self) -> None:
        """Erase until cancelled."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_EVERY_S)
            if not self._needed.is_set():
                continue
            began = now()
            try:
                await self.erase()
            except (sqlite3.Error, OSError) as error:
                log.warning("deleted data not erased yet", extra={"file": self._file, "error": str(error)})
                await asyncio.sleep(_RETRY_S)
            else:
                took_s = now() - began
                log.info("deleted data erased", extra={"file": self._file, "elapsed_s": round(took_s, 2)})
                await asyncio.sleep(_PASS_PAUSE * took_s)

    async def erase(self) -> None:
        """One pass. Raises sqlite3.Error, OSError: it is still needed."""
        now = asyncio.get_running_loop().time
        self._needed.clear()
        try:
            began = now()
            while not await self._step():
                await asyncio.sleep(max(_STEP_PAUSE * (now() - began), _SHORTEST_PAUSE_S))
                began = now()
        except BaseException:
            self._needed.set()
            raise
