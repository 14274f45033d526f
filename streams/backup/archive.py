"""The files of a backup: a manifest, and the records of each partition.

    manifest.json                     what there is, written last: without it a backup is incomplete
    topics/<topic>/<partition>.gz     records, in order, each a MessagePack array after its length (4 bytes)
    media/<key>                       objects of the store, where they are part of the backup
    media.jsonl.gz                    keys and sizes of all of them
    signing.key, token                secrets of an installation without configured ones

It holds owners, source URLs and secrets: the folder is 0700.
"""

import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

VERSION = 1
_MANIFEST = "manifest.json"
_LENGTH_BYTES = 4
_CHUNK_BYTES = 1 << 20


class BackupError(Exception):
    """A backup cannot be made or restored; the message says what to do."""

    exit_code = 2


class StoredRecord(msgspec.Struct, frozen=True, array_like=True):
    """A record of the log."""

    offset: int
    #: Milliseconds since the epoch.
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class PartitionFile(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one partition."""

    topic: str
    partition: int
    records: int
    #: Of the file, hex.
    sha256: str
    #: Whether earlier records had been removed, by retention for instance.
    is_trimmed: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a backup."""

    version: int
    #: When it was begun, seconds since the epoch.
    created_at: float
    topic_prefix: str
    partitions: int
    files: list[PartitionFile]
    #: Objects of the store, and whether their content is part of the backup.
    objects: int
    object_bytes: int
    has_media: bool


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(StoredRecord)


class PartitionWriter:
    """Writes the records of one partition. Close it, also after an error."""

    def __init__(self, folder: Path, topic: str, partition: int) -> None:
        self._topic, self._partition, self._records = topic, partition, 0
        self._path = _path(folder, topic, partition)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._raw = create_private(self._path)
        self._file = gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=1, mtime=0)

    def add(self, record: StoredRecord) -> None:
        """Write a record. Blocking."""
        content = _encoder.encode(record)
        self._file.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)
        self._records += 1

    def close(self, *, is_trimmed: bool = False) -> PartitionFile:
        """Sync and close the file. `is_trimmed`: see `PartitionFile`."""
        self._file.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        return PartitionFile(
            topic=self._topic,
            partition=self._partition,
            records=self._records,
            sha256=_digest(self._path),
            is_trimmed=is_trimmed,
        )


def read_partition(folder: Path, file: PartitionFile) -> Iterator[StoredRecord]:
    """The records of a partition, in order. Blocking. Raises BackupError for a damaged file."""
    path = _path(folder, file.topic, file.partition)
    try:
        if _digest(path) != file.sha256:
            raise BackupError(f"{path} is damaged: its checksum differs from the manifest's.")
        with gzip.open(path, "rb") as content:
            while length := content.read(_LENGTH_BYTES):
                yield _decoder.decode(content.read(int.from_bytes(length, "big")))
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise BackupError(f"{path} cannot be read: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Complete a backup."""
    with create_private(folder / _MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a complete backup. Raises BackupError."""
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise BackupError(f"{folder} has no complete backup: {_MANIFEST} is missing.") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupError(f"{folder / _MANIFEST} cannot be read: {error}") from error
    if manifest.version != VERSION:
        raise BackupError(f"{folder} has a backup of format {manifest.version}; this version reads format {VERSION}.")
    return manifest


def new_folder(folder: Path) -> None:
    """Create the folder of a new backup. Raises BackupError if it has anything in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if any(folder.iterdir()):
            raise BackupError(f"{folder} is not empty: choose a new folder for each backup.")
    except OSError as error:
        raise BackupError(f"{folder} cannot be written: {error}") from error


def create_private(path: Path) -> IO[bytes]:
    """A new file that only its user can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _path(folder: Path, topic: str, partition: int) -> Path:
    return folder / "topics" / topic / f"{partition}.gz"


def _digest(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hashed.update(chunk)
    return hashed.hexdigest()
