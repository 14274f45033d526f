"""Locks on resumable uploads: one request at a time adds bytes, and a newer request ends an older one."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from web.http.problems import Problem
from web.upload_staging.tus_storage import TusStorage

#: Seconds that a request waits for the one before it to end.
_WAIT_S = 2.0
_POLL_S = 0.02
#: Seconds in which a request that is overtaken may still come to its end: of two tabs that send chunks in turn, one
#: never got a chunk through otherwise.
_GRACE_S = 0.5


class TusLocks:
    """Locks held by requests of this process. Other replicas are seen by the file lock."""

    def __init__(self) -> None:
        self._reading: dict[str, ReadTimeout] = {}
        #: Incomplete uploads by owner: as of the last sweep, and those since. Replicas may share the folder.
        self.incomplete: Counter[str | None] = Counter()

    @contextlib.asynccontextmanager
    async def locked(self, storage: TusStorage, upload_id: str) -> AsyncIterator[None]:
        """Lock the upload. Raises Problem (409) where another replica keeps it locked, FileNotFoundError.

        An earlier request of this process is ended within half a second: the client has given it up, and its connection
        may be dead.
        """
        self._end(upload_id)
        loop = asyncio.get_running_loop()
        until = loop.time() + _WAIT_S
        while (held := storage.lock(upload_id)) is None:  # not in a thread: it takes microseconds and must not be lost
            if loop.time() > until:
                raise Problem(409, "upload-in-use", "another request is adding to this upload: try again in a moment")
            await asyncio.sleep(_POLL_S)
        with held:
            yield

    @contextlib.asynccontextmanager
    async def reading(self, upload_id: str, timeout_s: float) -> AsyncIterator["ReadTimeout"]:
        """Receive bytes. Raises TimeoutError after `timeout_s` without any, and when a newer request has come."""
        async with asyncio.timeout(timeout_s) as timeout:
            reading = self._reading[upload_id] = ReadTimeout(timeout, timeout_s)
            try:
                yield reading
            finally:
                if self._reading.get(upload_id) is reading:
                    del self._reading[upload_id]

    def require_room(self, owner: str | None, most: int) -> None:
        """Raise Problem (429) for an owner with too many incomplete uploads."""
        if 0 < most <= self.incomplete[owner]:
            detail = f"{most} uploads are incomplete already: complete or cancel some, or wait until they expire"
            raise Problem(429, "too-many-uploads", detail, {"Retry-After": "60"})

    def note_removed(self, owner: str | None) -> None:
        """Count one upload less."""
        self.incomplete[owner] = max(self.incomplete[owner] - 1, 0)

    def _end(self, upload_id: str) -> None:
        reading = self._reading.pop(upload_id, None)
        if reading is not None:
            reading.end_soon()


class ReadTimeout:
    """The time until the next bytes must have come."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout, self._seconds, self._is_ending = timeout, seconds, False

    def renew(self) -> None:
        """Start again after bytes have come. Raises TimeoutError when the time was over already."""
        now, ends_at = asyncio.get_running_loop().time(), self._timeout.when()
        if ends_at is not None and ends_at <= now:
            raise TimeoutError
        if not self._is_ending:
            self._timeout.reschedule(now + self._seconds)

    def end_soon(self) -> None:
        """A newer request has come: bytes are taken for a moment only."""
        if not self._timeout.expired():
            soon = asyncio.get_running_loop().time() + _GRACE_S
            self._is_ending, ends_at = True, self._timeout.when()
            self._timeout.reschedule(soon if ends_at is None else min(soon, ends_at))
