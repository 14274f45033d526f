"""The journal of uploads in progress: after a crash, objects without an asset are removed from the store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from processors.storage.object_store import ObjectStore

log = logging.getLogger("kinolog.web")

#: A command may stay unapplied on the log while control is down. After this long it was never written.
ABANDONED_S = 24 * 3600.0
_SUBMITTING = ".submitting"

#: (asset id, store key) -> whether that object is the source of that asset.
Refers = Callable[[str, str], Awaitable[bool]]


class Journal:
    """One file for each upload of this replica: created before the first byte, deleted when its job is on the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        #: Entries with an unknown outcome: those of earlier processes, and those given to `leave`.
        self._unresolved = set(folder.iterdir())

    async def begin(self, asset_id: str, key: str) -> Path:
        """Start an entry, before bytes for `key` are received."""
        return await asyncio.to_thread(
            _write, self._folder / f"{asset_id}.{key.rpartition('/')[2]}.receiving", asset_id, key
        )

    async def submitting(self, entry: Path) -> Path:
        """Note that all bytes are stored and the command is about to be written."""
        return await asyncio.to_thread(entry.rename, entry.with_suffix(_SUBMITTING))

    async def end(self, entry: Path) -> None:
        """Delete the entry: the job is on the log, or nothing of the upload is left."""
        await asyncio.to_thread(entry.unlink, missing_ok=True)
        self._unresolved.discard(entry)

    def leave(self, entry: Path) -> None:
        """Keep the entry for `repair`: it is not known whether the command was written."""
        self._unresolved.add(entry)

    async def repair(self, store: ObjectStore, refers: Refers, now: float) -> None:
        """Remove the objects of failed uploads. Entries that are not certain yet stay; a repeat is harmless.

        `now`: seconds since the epoch, by a clock that does not run ahead.
        """
        for entry in sorted(self._unresolved):
            asset_id, _, key = (await asyncio.to_thread(entry.read_text)).strip().partition("\n")
            if key and not await _is_needed(entry, asset_id, key, refers, now):
                await store.delete_prefix(key)
                log.info("removed the object of a failed upload", extra={"key": key})
            elif key and entry.suffix == _SUBMITTING and not await refers(asset_id, key):
                continue
            await self.end(entry)


async def _is_needed(entry: Path, asset_id: str, key: str, refers: Refers, now: float) -> bool:
    """Whether the object is an asset's source, or may become it."""
    if entry.suffix != _SUBMITTING:
        return False
    age_s = now - (await asyncio.to_thread(entry.stat)).st_ctime
    return age_s < ABANDONED_S or await refers(asset_id, key)


def _write(path: Path, asset_id: str, key: str) -> Path:
    try:
        path.write_text(f"{asset_id}\n{key}\n")
    except OSError:
        path.unlink(missing_ok=True)  # without its entry the upload does not start
        raise
    return path
