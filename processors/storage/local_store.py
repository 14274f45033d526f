"""An object store in a local folder."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from pathlib import Path
from typing import IO

from obstore.store import from_url

from processors.storage import local_files
from processors.storage.byte_streams import batched, limited
from processors.storage.disk_reserve import NO_RESERVE, DiskReserve
from processors.storage.errors import StoreAbsent, StoreError, mapped_errors
from processors.storage.keys import OWNER_KEY, checked_key
from processors.storage.object_reader import Mark, ObjectReader, StoredObject
from processors.threads import in_thread

#: Age at which an unfinished file of a killed process is removed; a live upload pauses for seconds only.
STAGING_AGE_S = 6 * 3600.0


class LocalStore(ObjectReader):
    """Objects as files below `root`. Writes rename staged files, so readers never see part of an object; when they
    return, it survives a power cut.
    """

    def __init__(self, root: Path, reserve: DiskReserve = NO_RESERVE, mark: Mark = "ignored") -> None:
        self.root, self._reserve = root, reserve
        root.mkdir(parents=True, exist_ok=True)
        super().__init__(from_url(root.as_uri()), mark)

    def local_path(self, key: str) -> Path:
        """Path of the object's file, whether it exists or not. Raises InvalidKey."""
        return self.root / checked_key(key)

    async def require_there(self) -> None:
        """See ObjectStore. A folder that cannot be read, as on a share whose server is away, is not there."""
        try:
            await super().require_there()
        except StoreAbsent:
            raise
        except StoreError as error:
            raise StoreAbsent(f"the store's folder cannot be read: {error}") from error

    async def put(self, key: str, chunks: AsyncIterable[bytes], max_bytes: int) -> StoredObject:
        """See ObjectStore."""
        with mapped_errors(checked_key(key)):
            if key != OWNER_KEY:
                await self.require_there()
            await self._write(key, limited(chunks, max_bytes))
        return await self.head(key)

    async def put_file(self, path: Path, key: str, attributes: Mapping[str, str] | None = None) -> None:  # noqa: ARG002 - a file has none
        """See ObjectStore. Moves the file into the store."""
        with mapped_errors(checked_key(key)):
            await self.require_there()
            await in_thread(local_files.publish_file, path, self.root, key)

    async def copy(self, key: str, target: str) -> None:
        """See ObjectStore. Makes a hard link where the file system has them."""
        checked_key(target)
        with mapped_errors(checked_key(key)):
            await self.require_there()
            await in_thread(local_files.link_file, self.root / key, self.root, target)

    async def publish_tree(self, folder: Path, prefix: str) -> None:
        """See ObjectStore. Moves the folder into the store."""
        with mapped_errors(checked_key(prefix)):
            await self.require_there()
            await in_thread(local_files.publish_folder, folder, self.root, prefix)

    async def delete_prefix(self, prefix: str) -> None:
        """See ObjectStore. Removes folders that become empty too."""
        with mapped_errors(checked_key(prefix)):
            await self.require_there()
            await in_thread(local_files.remove_tree, self.root / prefix, self.root)

    async def sweep(self, now: float, older_than_s: float = STAGING_AGE_S) -> int:
        """See ObjectStore. Removes staged files and folders."""
        return await in_thread(local_files.sweep, self.root / local_files.STAGING, now - older_than_s)

    async def _write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        path = await in_thread(local_files.staging_path, self.root)
        try:
            with path.open("wb") as file:
                async for part in batched(chunks):
                    await in_thread(self._append, file, part)
            await in_thread(local_files.publish_file, path, self.root, key)
        except BaseException:
            await in_thread(path.unlink, True)
            raise

    def _append(self, file: IO[bytes], part: bytes) -> None:
        self._reserve.require(self.root, len(part))
        file.write(part)
