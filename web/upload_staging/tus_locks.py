"""Whose turn it is to add to a resumable upload: one request at a time, the newest."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator

from web.http.problems import Problem
from web.upload_staging.tus_storage import TusFolder, TusUpload

#: Seconds that a request waits for the one before it to end.
_WAIT_S = 2.0
_LOOK_S = 0.02
#: Finished uploads that are remembered.
_FINISHED = 10_000


class TusTurns:
    """Requests of this process, and what came of them; those of other replicas are known by the lock on the upload."""

    def __init__(self) -> None:
        self._reading: dict[str, asyncio.Timeout] = {}
        self._finished: OrderedDict[str, TusUpload] = OrderedDict()

    @contextlib.asynccontextmanager
    async def turn(self, folder: TusFolder, upload_id: str) -> AsyncIterator[None]:
        """Hold the upload. Raises Problem (409) where another replica does not let it go, FileNotFoundError.

        Whoever asks has given up an earlier request, whose connection may have died without a word: that one ends.
        """
        self._end(upload_id)
        loop = asyncio.get_running_loop()
        until = loop.time() + _WAIT_S
        while (held := folder.lock(upload_id)) is None:  # not in a thread: it takes microseconds and must not be lost
            if loop.time() > until:
                raise Problem(409, "upload-in-use", "another request is adding to this upload")
            await asyncio.sleep(_LOOK_S)
        with held:
            yield

    @contextlib.asynccontextmanager
    async def reading(self, upload_id: str, patience_s: float) -> AsyncIterator["Patience"]:
        """While bytes come. Raises TimeoutError after `patience_s` without one, and when a newer request has come."""
        async with asyncio.timeout(patience_s) as timeout:
            self._reading[upload_id] = timeout
            try:
                yield Patience(timeout, patience_s)
            finally:
                if self._reading.get(upload_id) is timeout:
                    del self._reading[upload_id]

    def note_finished(self, upload: TusUpload) -> None:
        """Remember it for a client that did not hear so."""
        self._finished[upload.id] = upload
        if len(self._finished) > _FINISHED:
            self._finished.popitem(last=False)

    def finished(self, upload_id: str) -> TusUpload | None:
        """An upload that became a job a while ago."""
        return self._finished.get(upload_id)

    def _end(self, upload_id: str) -> None:
        timeout = self._reading.pop(upload_id, None)
        if timeout is not None and not timeout.expired():
            timeout.reschedule(asyncio.get_running_loop().time())


class Patience:
    """How long is waited for the next bytes."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout, self._seconds = timeout, seconds

    def renew(self) -> None:
        """Some have come. Raises TimeoutError when there is none left."""
        now, ends_at = asyncio.get_running_loop().time(), self._timeout.when()
        if ends_at is not None and ends_at <= now:
            raise TimeoutError
        self._timeout.reschedule(now + self._seconds)
