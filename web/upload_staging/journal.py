"""What uploads were under way: after a crash, what nobody will ever ask for is removed from the store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from processors.storage.object_store import ObjectStore

log = logging.getLogger("kinolog.web")

#: A command may lie on the log unapplied while control is down. After this long it never came.
ABANDONED_S = 24 * 3600.0
_SUBMITTING = ".submitting"

#: (asset id, store key) -> whether that asset was made from that object.
Refers = Callable[[str, str], Awaitable[bool]]


class Journal:
    """A file for each upload of this replica: made before the first byte, gone when its job is on the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        #: Of earlier processes, and of ours where the outcome is not known.
        self._left = set(folder.iterdir())

    async def begin(self, asset_id: str, key: str) -> Path:
        """Bytes are about to come in for `key`."""
        return await asyncio.to_thread(
            _write, self._folder / f"{asset_id}.{key.rpartition('/')[2]}.receiving", asset_id, key
        )

    async def submitting(self, entry: Path) -> Path:
        """All bytes are there; the command is about to be written."""
        return await asyncio.to_thread(entry.rename, entry.with_suffix(_SUBMITTING))

    async def end(self, entry: Path) -> None:
        """The job is on the log, or nothing of the upload is left."""
        await asyncio.to_thread(entry.unlink, missing_ok=True)
        self._left.discard(entry)

    def leave(self, entry: Path) -> None:
        """It is not known whether the command was written: `repair` will see."""
        self._left.add(entry)

    async def repair(self, store: ObjectStore, refers: Refers, now: float) -> None:
        """Remove what has come to nothing. Call again later for what is not certain yet; a repeat is harmless.

        `now`: seconds since the epoch, by a clock that does not run ahead.
        """
        for entry in sorted(self._left):
            asset_id, _, key = (await asyncio.to_thread(entry.read_text)).strip().partition("\n")
            if key and not await _is_needed(entry, asset_id, key, refers, now):
                await store.delete_prefix(key)
                log.info("removed what a broken upload left", extra={"key": key})
            elif key and entry.suffix == _SUBMITTING and not await refers(asset_id, key):
                continue
            await self.end(entry)


async def _is_needed(entry: Path, asset_id: str, key: str, refers: Refers, now: float) -> bool:
    """Whether the object is some asset's source, or may become it."""
    if entry.suffix != _SUBMITTING:
        return False
    age_s = now - (await asyncio.to_thread(entry.stat)).st_ctime
    return age_s < ABANDONED_S or await refers(asset_id, key)


def _write(path: Path, asset_id: str, key: str) -> Path:
    try:
        path.write_text(f"{asset_id}\n{key}\n")
    except OSError:
        path.unlink(missing_ok=True)  # of what could not be written down nothing has begun
        raise
    return path
