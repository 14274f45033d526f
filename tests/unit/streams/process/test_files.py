"""A file is seen whole or not at all, and by those alone who may."""

import os
import stat
import threading
from pathlib import Path

import pytest

from streams.process.files import create_atomically, write_atomically
from tests import disk_events


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    write_atomically(path, "old", 0o600)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new", 0o600)
    assert path.read_text() == "old"


def test_a_replaced_file_has_its_new_content_after_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    write_atomically(path, "old", 0o600)
    events = disk_events.record(monkeypatch)
    write_atomically(path, "new", 0o600)
    assert events.synced_before_renamed(path) and events.synced_after_renamed(path, tmp_path)


def test_what_a_killed_process_left_does_not_stop_the_next(tmp_path: Path) -> None:
    (tmp_path / ".token.new").write_text("half")
    write_atomically(tmp_path / "token", b"whole", 0o600)
    assert (tmp_path / "token").read_text() == "whole"
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_replicas_that_create_a_key_at_once_agree_on_one(tmp_path: Path) -> None:
    created: list[bool] = []

    def create(key: str) -> None:
        created.append(create_atomically(tmp_path / "key", key, 0o600))

    replicas = [threading.Thread(target=create, args=[str(number)]) for number in range(8)]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.join()
    assert sorted(created) == [False] * 7 + [True]
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
