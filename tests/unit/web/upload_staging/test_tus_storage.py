"""What resumable uploads leave on the disk."""

import os
import time
from pathlib import Path

from web.upload_staging.tus_storage import TusFolder, TusUpload


def upload(upload_id: str, size_bytes: int = 4) -> TusUpload:
    return TusUpload(id=upload_id, size_bytes=size_bytes, asset_id="asset_1", job_id="job_1")


def test_the_offset_is_what_is_there(tmp_path: Path) -> None:
    folder = TusFolder(tmp_path, 60, time.time)
    folder.create(upload("tus_1"))
    assert folder.find("tus_1") == (upload("tus_1"), 0)
    folder.append("tus_1", [b"a", b"b"])
    assert folder.find("tus_1") == (upload("tus_1"), 2)
    assert folder.find("../tus_1") is None
    assert folder.find("tus_2") is None


def test_an_expired_upload_is_swept_and_a_whole_one_is_handed_out_to_be_finished(tmp_path: Path) -> None:
    folder = TusFolder(tmp_path, 60, time.time)
    for name in ("tus_old", "tus_whole", "tus_new"):
        folder.create(upload(name))
    folder.append("tus_whole", [b"abcd"])
    for name in ("tus_old", "tus_whole"):
        os.utime(folder.data(name), (time.time() - 100, time.time() - 100))
    assert [found.id for found in folder.sweep()] == ["tus_whole"]
    assert {path.name for path in tmp_path.iterdir()} == {"tus_whole", "tus_new"}


def test_a_clock_of_the_machine_that_is_wrong_expires_nothing(tmp_path: Path) -> None:
    now = 1_000_000.0
    folder = TusFolder(tmp_path, 60, lambda: now)
    folder.create(upload("tus_1"))
    assert folder.expires_at("tus_1") == now + 60
    now += 59
    folder.append("tus_1", [b"a"])
    now += 59
    assert folder.find("tus_1") is not None and folder.sweep() == []
    now += 2
    assert folder.find("tus_1") is None
    folder.sweep()
    assert list(tmp_path.iterdir()) == []


def test_while_the_logs_time_is_not_known_nothing_expires_and_dates_stay(tmp_path: Path) -> None:
    known = TusFolder(tmp_path, 60, lambda: 1_000.0)
    known.create(upload("tus_1"))
    unknown = TusFolder(tmp_path, 60, lambda: None)
    unknown.append("tus_1", [b"a"])
    assert unknown.find("tus_1") == (upload("tus_1"), 1) and unknown.sweep() == []
    assert known.expires_at("tus_1") == 1_060.0


def test_a_folder_that_is_just_being_made_survives_one_sweep(tmp_path: Path) -> None:
    folder = TusFolder(tmp_path, 60, time.time)
    (tmp_path / "tus_1").mkdir()
    folder.sweep()
    assert (tmp_path / "tus_1").exists()
    folder.sweep()
    assert not (tmp_path / "tus_1").exists()
