"""A backup is read as it was written, or not at all."""

from pathlib import Path

import pytest

from streams.backup.archive import (
    VERSION,
    BackupError,
    Manifest,
    PartitionFile,
    PartitionWriter,
    StoredRecord,
    new_folder,
    read_manifest,
    read_partition,
    write_manifest,
)

RECORDS = [
    StoredRecord(7, 1_780_000_000_000, b"tok_1", b'{"id":"tok_1"}', [("kinolog-signature", b"\x00\xff")]),
    StoredRecord(9, 1_780_000_000_001, None, None, []),
    StoredRecord(10, 1_780_000_000_002, b"", b"", []),
]


def written(folder: Path) -> PartitionFile:
    writer = PartitionWriter(folder, "media.tokens", 0)
    for record in RECORDS:
        writer.add(record)
    return writer.close()


def test_records_come_back_with_key_value_headers_and_offset(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert file.records == 3
    assert list(read_partition(tmp_path, file)) == RECORDS


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir(mode=0o755)
    new_folder(folder)
    assert folder.stat().st_mode & 0o077 == 0


def test_a_damaged_file_restores_nothing(tmp_path: Path) -> None:
    file = written(tmp_path)
    path = tmp_path / "topics" / "media.tokens" / "0.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackupError, match="damaged"):
        next(read_partition(tmp_path, file))


def test_a_backup_that_was_interrupted_is_none(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(BackupError, match="no complete backup"):
        read_manifest(tmp_path)


def test_a_backup_of_a_later_format_is_refused(tmp_path: Path) -> None:
    manifest = Manifest(
        version=VERSION + 1,
        created_at=1.0,
        topic_prefix="media.",
        partitions=8,
        files=[written(tmp_path)],
        objects=0,
        object_bytes=0,
        has_media=True,
    )
    write_manifest(tmp_path, manifest)
    with pytest.raises(BackupError, match="format"):
        read_manifest(tmp_path)


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(BackupError, match="not empty"):
        new_folder(tmp_path)
