"""What resumable uploads leave on this disk until they are whole: a folder each, the size of its data is the offset."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from streams.ids import ID_PATTERN


class TusUpload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One upload as its folder tells it."""

    id: str
    #: Bytes in all.
    size_bytes: int
    asset_id: str
    job_id: str
    owner: str | None = None
    filename: str | None = None
    pipeline: str | None = None
    passthrough: str | None = None
    #: Upload-Metadata, as it was given.
    metadata: str | None = None


class TusFolder:
    """Uploads below `folder`, which replicas may share. Blocking: call in a thread.

    An upload untouched for `expire_s` is gone, by `now`, the log's time: the date of its data is set to that with each
    change. While the log's time is not known (None), nothing expires, and dates stay as they are.
    """

    def __init__(self, folder: Path, expire_s: float, now: Callable[[], float | None]) -> None:
        self._folder, self._expire_s, self._now = folder, expire_s, now
        #: Folders without an upload that the last sweep saw.
        self._half_made: set[str] = set()

    def create(self, upload: TusUpload) -> None:
        """Make room for an upload. Raises OSError."""
        home = self._folder / upload.id
        home.mkdir(parents=True)
        self.data(upload.id).touch()
        self._date(self.data(upload.id), self._now())
        beside = home / "upload.new"
        beside.write_bytes(msgspec.json.encode(upload))
        beside.rename(home / "upload.json")

    def lock(self, upload_id: str) -> IO[bytes] | None:
        """Hold an upload until what is returned is closed, against all processes; None while somebody else holds it.

        Raises FileNotFoundError where there is no such upload.
        """
        if not ID_PATTERN.fullmatch(upload_id):
            raise FileNotFoundError(upload_id)
        held = self.data(upload_id).open("rb+")  # file systems of a network want it writable
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            return None
        return held

    def data(self, upload_id: str) -> Path:
        """Where its bytes are."""
        return self._folder / upload_id / "data"

    def find(self, upload_id: str) -> tuple[TusUpload, int] | None:
        """The upload and its offset; None when there is none, or none any more."""
        if not ID_PATTERN.fullmatch(upload_id):
            return None
        try:
            upload = msgspec.json.decode((self._folder / upload_id / "upload.json").read_bytes(), type=TusUpload)
            known = self.data(upload_id).stat()
        except FileNotFoundError:
            return None
        now = self._now()
        if now is not None and known.st_mtime + self._expire_s < now and known.st_size < upload.size_bytes:
            return None
        return upload, known.st_size

    def expires_at(self, upload_id: str) -> float:
        """When it is gone if nothing more comes, seconds since the epoch."""
        return self.data(upload_id).stat().st_mtime + self._expire_s

    def append(self, upload_id: str, pieces: list[bytes]) -> None:
        """Add bytes at the end. Raises OSError."""
        data = self.data(upload_id)
        before, now = data.stat().st_mtime, self._now()
        try:
            with data.open("ab") as file:
                file.writelines(pieces)
        finally:
            self._date(data, before if now is None else now)

    def _date(self, data: Path, at: float | None) -> None:
        if at is not None:
            os.utime(data, (at, at))

    def remove(self, upload_id: str) -> None:
        """Forget it, with all its bytes. Nothing there: harmless."""
        shutil.rmtree(self._folder / upload_id, ignore_errors=True)

    def sweep(self) -> list[TusUpload]:
        """Remove what has expired or was never begun right; returns what is whole and still here: to be finished."""
        whole: list[TusUpload] = []
        half_made, self._half_made = self._half_made, set()
        for home in self._folder.iterdir() if self._folder.is_dir() else ():
            found = self.find(home.name)
            if found is None:
                if home.name in half_made or (home / "upload.json").exists():
                    self.remove(home.name)
                else:  # it may be being made now: the next sweep will see
                    self._half_made.add(home.name)
            elif found[1] == found[0].size_bytes:
                whole.append(found[0])
        return whole

    def kept(self, upload_id: str) -> Path | None:
        """A second name of the whole data, which the store may take away; None when it was taken already."""
        source, second = self.data(upload_id), self._folder / upload_id / "taken"
        second.unlink(missing_ok=True)
        try:
            os.link(source, second)
        except FileNotFoundError:
            return None
        return second
