"""`kinolog restore` refuses what would restore something else than was saved, before it reaches for a log."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.backup.archive import VERSION, Manifest, PartitionFile, new_folder, write_manifest
from streams.cli.main import cli


def a_backup(
    folder: Path, partitions: int = 8, topic_prefix: str = "media.", files: Sequence[PartitionFile] = ()
) -> Path:
    new_folder(folder)
    manifest = Manifest(
        version=VERSION,
        created_at=1.0,
        topic_prefix=topic_prefix,
        partitions=partitions,
        files=list(files),
        objects=0,
        object_bytes=0,
        has_media=True,
    )
    write_manifest(folder, manifest)
    return folder


@pytest.mark.parametrize("partitions, topic_prefix", [(3, "media."), (8, "other.")])
def test_keys_would_be_on_other_partitions_or_topics(tmp_path: Path, partitions: int, topic_prefix: str) -> None:
    folder = a_backup(tmp_path / "backup", partitions, topic_prefix)
    environ = {"KINOLOG_DATA_DIR": str(tmp_path / "data")}
    result = CliRunner().invoke(cli, ["restore", str(folder)], env=environ)
    assert result.exit_code == 2
    assert "KINOLOG_PARTITIONS=" in result.output
    assert not (tmp_path / "data").exists()


def test_rows_would_be_in_the_changelog_of_another_installation(tmp_path: Path) -> None:
    rows = PartitionFile(topic="theirs-control-jobs-changelog", partition=0, records=1, sha256="")
    environ = {"KINOLOG_DATA_DIR": str(tmp_path / "data")}
    result = CliRunner().invoke(cli, ["restore", str(a_backup(tmp_path / "backup", files=[rows]))], env=environ)
    assert result.exit_code == 2
    assert "theirs-control-jobs-changelog: set KINOLOG_GROUP_PREFIX" in result.output
    assert not (tmp_path / "data").exists()


def test_a_folder_without_a_backup_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["restore", str(tmp_path)], env={"KINOLOG_DATA_DIR": str(tmp_path / "data")})
    assert result.exit_code == 2
    assert "no complete backup" in result.output


def test_a_backup_needs_a_running_log(tmp_path: Path) -> None:
    environ = {"KINOLOG_DATA_DIR": str(tmp_path / "data"), "KINOLOG_KAFKA__PORT": "0"}
    result = CliRunner().invoke(cli, ["backup", str(tmp_path / "backup")], env=environ)
    assert result.exit_code == 3
    assert not (tmp_path / "backup").exists()
