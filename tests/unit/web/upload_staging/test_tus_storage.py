"""Resumable uploads on disk: offsets, expiry, and the sweep."""

import os
import time
from pathlib import Path

from web.upload_staging.tus_storage import TusStorage, TusUpload


def upload(upload_id: str, size_bytes: int = 4) -> TusUpload:
    return TusUpload(id=upload_id, size_bytes=size_bytes, asset_id="asset_1", job_id="job_1")


def test_the_offset_is_the_size_of_the_data(tmp_path: Path) -> None:
    storage = TusStorage(tmp_path, 60, time.time)
    storage.create(upload("tus_1"))
    assert storage.find("tus_1") == (upload("tus_1"), 0)
    storage.append("tus_1", b"ab")
    assert storage.find("tus_1") == (upload("tus_1"), 2)
    assert storage.find("../tus_1") is None
    assert storage.find("tus_2") is None


def test_an_expired_upload_is_swept_and_a_complete_one_is_returned(tmp_path: Path) -> None:
    storage = TusStorage(tmp_path, 60, time.time)
    for name in ("tus_old", "tus_whole", "tus_new"):
        storage.create(upload(name))
    storage.append("tus_whole", b"abcd")
    for name in ("tus_old", "tus_whole"):
        os.utime(storage.data(name), (time.time() - 100, time.time() - 100))
    assert [found.id for found in storage.sweep()] == ["tus_whole"]
    assert {path.name for path in tmp_path.iterdir()} == {"tus_whole", "tus_new"}


def test_a_clock_of_the_machine_that_is_wrong_expires_nothing(tmp_path: Path) -> None:
    now = 1_000_000.0
    storage = TusStorage(tmp_path, 60, lambda: now)
    storage.create(upload("tus_1"))
    assert storage.expires_at("tus_1") == now + 60
    now += 59
    storage.append("tus_1", b"a")
    now += 59
    assert storage.find("tus_1") is not None and storage.sweep() == []
    now += 2
    assert storage.find("tus_1") is None
    storage.sweep()
    assert list(tmp_path.iterdir()) == []


def test_while_the_logs_time_is_not_known_nothing_expires_and_dates_stay(tmp_path: Path) -> None:
    known = TusStorage(tmp_path, 60, lambda: 1_000.0)
    known.create(upload("tus_1"))
    unknown = TusStorage(tmp_path, 60, lambda: None)
    unknown.append("tus_1", b"a")
    assert unknown.find("tus_1") == (upload("tus_1"), 1) and unknown.sweep() == []
    assert known.expires_at("tus_1") == 1_060.0


def test_a_folder_that_is_just_being_made_survives_one_sweep(tmp_path: Path) -> None:
    storage = TusStorage(tmp_path, 60, time.time)
    (tmp_path / "tus_1").mkdir()
    storage.sweep()
    assert (tmp_path / "tus_1").exists()
    storage.sweep()
    assert not (tmp_path / "tus_1").exists()


def test_uploads_are_counted_by_owner(tmp_path: Path) -> None:
    storage = TusStorage(tmp_path, 60, time.time)
    for number, owner in enumerate(("anna", "anna", None)):
        storage.create(TusUpload(id=f"tus_{number}", size_bytes=4, asset_id="a", job_id="j", owner=owner))
    assert storage.owners() == {"anna": 2, None: 1}
