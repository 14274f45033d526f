"""The space of a disk is what its users have: a file system keeps a share for itself."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from processors.storage.disk_reserve import DiskReserve

MB = 10**6


def test_a_disk_is_full_when_nobody_can_write_though_the_file_system_has_a_share_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = SimpleNamespace(f_frsize=MB, f_blocks=1000, f_bfree=50, f_bavail=0)
    monkeypatch.setattr(os, "statvfs", lambda _folder: disk)
    assert DiskReserve(100 * MB).space(tmp_path) == (950 * MB, 0, 100 * MB)
    assert DiskReserve(100 * MB).missing_bytes(tmp_path) == 100 * MB


def test_the_reserve_of_a_small_disk_is_a_tenth_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    disk = SimpleNamespace(f_frsize=MB, f_blocks=1000, f_bfree=500, f_bavail=500)
    monkeypatch.setattr(os, "statvfs", lambda _folder: disk)
    assert DiskReserve(1024**3).space(tmp_path).reserve_bytes == 100 * MB
    assert DiskReserve(1024**3).missing_bytes(tmp_path, 400 * MB) == 0
    assert DiskReserve(1024**3).missing_bytes(tmp_path, 401 * MB) == MB
    assert DiskReserve(0).missing_bytes(tmp_path, 10**12) == 0
