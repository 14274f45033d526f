"""Resumable uploads on disk until they are complete: one folder each; the size of its data is the offset."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from processors.storage.disk_reserve import NO_RESERVE, DiskReserve, ReserveReached
from processors.storage.durability import sync
from streams.ids import ID_PATTERN
from streams.process.files import write_atomically
from streams.process.locks import try_lock

#: Bytes per copied block.
_COPY_BYTES = 1024**2


class TusUpload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One upload, as described in its folder."""

    id: str
    #: Size of the complete upload; None while the client has not told it.
    size_bytes: int | None
    asset_id: str
    job_id: str
    owner: str | None = None
    filename: str | None = None
    pipeline: str | None = None
    passthrough: str | None = None
    priority: str | None = None
    #: The Upload-Metadata header.
    metadata: str | None = None
    #: Whether it is a part of a final upload, and becomes no job itself.
    partial: bool = False
    #: The Upload-Concat header of a final upload.
    concat: str | None = None

    def is_whole(self, offset: int) -> bool:
        """Whether all bytes have come, and it can become a job."""
        return self.size_bytes == offset and not self.partial


class TusStorage:
    """Uploads below `folder`, which replicas may share. Blocking: call in a thread.

    An upload expires `expire_s` after its last change, by the log's time `now`: each change sets the modification time
    of its data to that. While the log's time is not known (None), nothing expires, and these times stay as they are.
    """

    def __init__(
        self, folder: Path, expire_s: float, now: Callable[[], float | None], reserve: DiskReserve = NO_RESERVE
    ) -> None:
        self._folder, self._expire_s, self._now, self._reserve = folder, expire_s, now, reserve
        #: Folders without an upload at the last sweep.
        self._incomplete: set[str] = set()

    def create(self, upload: TusUpload) -> None:
        """Create an empty upload; one that exists stays as it is. Raises OSError."""
        home = self._folder / upload.id
        if (home / "upload.json").exists():
            return
        home.mkdir(parents=True, exist_ok=True)
        try:
            self._reserve.require(home, upload.size_bytes or 0)
        except ReserveReached:
            home.rmdir()
            raise
        self.data(upload.id).touch()
        _set_mtime(self.data(upload.id), self._now())
        write_atomically(home / "upload.json", msgspec.json.encode(upload))
        sync(self._folder)

    def lock(self, upload_id: str) -> IO[bytes] | None:
        """Lock an upload against all processes until the returned file is closed; None while another holds the lock.

        Raises FileNotFoundError for an unknown upload.
        """
        if not ID_PATTERN.fullmatch(upload_id):
            raise FileNotFoundError(upload_id)
        held = self.data(upload_id).open("rb+")  # network file systems need it writable
        if try_lock(held):
            return held
        held.close()
        return None

    def data(self, upload_id: str) -> Path:
        """Path of the upload's bytes."""
        return self._folder / upload_id / "data"

    def find(self, upload_id: str) -> tuple[TusUpload, int] | None:
        """The upload and its offset; None when it does not exist or has expired."""
        if not ID_PATTERN.fullmatch(upload_id):
            return None
        try:
            upload = msgspec.json.decode((self._folder / upload_id / "upload.json").read_bytes(), type=TusUpload)
            data = self.data(upload_id).stat()
        except FileNotFoundError:
            return None
        now = self._now()
        if now is not None and data.st_mtime + self._expire_s < now and not upload.is_whole(data.st_size):
            return None
        return upload, data.st_size

    def expires_at(self, upload_id: str) -> float:
        """Time at which it expires unless more bytes come, seconds since the epoch."""
        return self.data(upload_id).stat().st_mtime + self._expire_s

    def append(self, upload_id: str, block: bytes | bytearray) -> None:
        """Add bytes at the end. Raises OSError."""
        self._reserve.require(self._folder, len(block))
        with self._appending(upload_id) as file:
            file.write(block)

    def sync(self, upload_id: str) -> None:
        """Return when the added bytes survive a power cut: before a client is told that it need not keep them."""
        sync(self.data(upload_id))

    def set_size(self, upload: TusUpload, size_bytes: int) -> TusUpload:
        """Note the size of an upload that was created without one."""
        sized = msgspec.structs.replace(upload, size_bytes=size_bytes)
        write_atomically(self._folder / upload.id / "upload.json", msgspec.json.encode(sized))
        return sized

    def stage(self, upload_id: str, block: bytes | bytearray) -> None:
        """Add bytes whose checksum is not verified yet; they do not count. Raises OSError."""
        self._reserve.require(self._folder, len(block))
        with self._staged(upload_id).open("ab") as file:
            file.write(block)

    def append_staged(self, upload_id: str) -> None:
        """Add the staged bytes at the end: their checksum is right. Raises OSError."""
        with self._appending(upload_id) as file, self._staged(upload_id).open("rb") as staged:
            shutil.copyfileobj(staged, file, _COPY_BYTES)
        self.discard_staged(upload_id)

    def discard_staged(self, upload_id: str) -> None:
        """Delete staged bytes. A repeat is harmless."""
        self._staged(upload_id).unlink(missing_ok=True)

    def join(self, upload: TusUpload, parts: Sequence[str]) -> None:
        """Give the upload the bytes of other uploads, in order. A repeat is harmless. Raises OSError."""
        data = self.data(upload.id)
        if upload.is_whole(data.stat().st_size):  # and perhaps in the store already, by a hard link
            return
        os.truncate(data, 0)
        with self._appending(upload.id) as file:
            for part in parts:
                with self.data(part).open("rb") as source:
                    shutil.copyfileobj(source, file, _COPY_BYTES)

    @contextmanager
    def _appending(self, upload_id: str) -> Iterator[IO[bytes]]:
        data = self.data(upload_id)
        before, now = data.stat().st_mtime, self._now()
        try:
            with data.open("ab") as file:
                yield file
        finally:
            _set_mtime(data, before if now is None else now)

    def _staged(self, upload_id: str) -> Path:
        return self._folder / upload_id / "staged"

    def remove(self, upload_id: str) -> None:
        """Delete an upload with its bytes. A repeat is harmless."""
        shutil.rmtree(self._folder / upload_id, ignore_errors=True)

    def sweep(self) -> list[TusUpload]:
        """Delete expired and broken uploads; returns the complete ones that have not become jobs yet."""
        complete: list[TusUpload] = []
        incomplete, self._incomplete = self._incomplete, set()
        for home in self._folder.iterdir() if self._folder.is_dir() else ():
            found = self.find(home.name)
            if found is None:
                if home.name in incomplete or (home / "upload.json").exists():
                    self.remove(home.name)
                else:  # it may be under construction: the next sweep decides
                    self._incomplete.add(home.name)
            elif found[0].is_whole(found[1]):
                complete.append(found[0])
        return complete

    def give_up(self) -> list[TusUpload]:
        """Delete incomplete uploads that nobody adds to, the ones without news for longest first, until the disk has
        more than its reserve; returns them.
        """
        homes = list(self._folder.iterdir()) if self._folder.is_dir() else []
        found = [state for home in homes if (state := self.find(home.name)) is not None]
        idle = [upload for upload, size_bytes in found if not upload.is_whole(size_bytes)]
        idle.sort(key=lambda upload: self.data(upload.id).stat().st_mtime)
        return [upload for upload in idle if self._reserve.missing_bytes(self._folder) > 0 and self._give_up(upload)]

    def _give_up(self, upload: TusUpload) -> bool:
        held = self.lock(upload.id)
        if held is None:
            return False
        with held:
            self.remove(upload.id)
        return True

    def owners(self) -> Counter[str | None]:
        """Number of uploads here, by owner."""
        homes = list(self._folder.iterdir()) if self._folder.is_dir() else []
        found = [self.find(home.name) for home in homes]
        return Counter(upload.owner for upload, _ in filter(None, found))

    def link_data(self, upload_id: str) -> Path | None:
        """A hard link to the complete data, which the store may move away; None when the data is gone already."""
        link = self._folder / upload_id / "taken"
        link.unlink(missing_ok=True)
        try:
            os.link(self.data(upload_id), link)
        except FileNotFoundError:
            return None
        return link


def _set_mtime(path: Path, at: float | None) -> None:
    if at is not None:
        os.utime(path, (at, at))
