"""Removes expired resumable uploads, and completes those whose replica was killed before it started the job."""

import asyncio
import contextlib
import logging

from processors.storage.errors import StoreError
from tables.submissions import Refused
from web.api.uploads.tus_completion import LOCKS, complete, tus_folder
from web.http.problems import Problem
from web.services import Services

log = logging.getLogger("kinolog.web")

_EVERY_S = 60.0


class TusSweep:
    """Sweeps the folder of resumable uploads once a minute."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep()
            except (OSError, StoreError, Problem, Refused) as error:
                log.warning("sweep of resumable uploads failed", extra={"error": str(error)})
            await asyncio.sleep(_EVERY_S)

    async def sweep(self) -> None:
        """Remove uploads that have expired, and incomplete ones whose disk is needed; complete those without a job."""
        folder = tus_folder(self._parts)
        for upload in await asyncio.to_thread(folder.give_up):
            log.warning("incomplete upload removed: the disk has only its reserve left", extra={"upload": upload.id})
        for upload in await asyncio.to_thread(folder.sweep):
            with contextlib.suppress(FileNotFoundError):  # completed meanwhile
                async with LOCKS.locked(folder, upload.id):
                    await complete(self._parts, upload)
        LOCKS.incomplete = await asyncio.to_thread(folder.owners)
