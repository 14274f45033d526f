"""What resumable uploads leave on the disk."""

import os
import time
from pathlib import Path

from web.tus_uploads import TusFolder, TusUpload


def upload(upload_id: str, size_bytes: int = 4) -> TusUpload:
    return TusUpload(id=upload_id, size_bytes=size_bytes, asset_id="asset_1", job_id="job_1")


def test_the_offset_is_what_is_there(tmp_path: Path) -> None:
    folder = TusFolder(tmp_path, 60)
    folder.create(upload("tus_1"))
    assert folder.find("tus_1") == (upload("tus_1"), 0)
    folder.append("tus_1", [b"a", b"b"])
    assert folder.find("tus_1") == (upload("tus_1"), 2)
    assert folder.find("../tus_1") is None
    assert folder.find("tus_2") is None


def test_an_expired_upload_is_swept_and_a_whole_one_is_handed_out_to_be_finished(tmp_path: Path) -> None:
    folder = TusFolder(tmp_path, 60)
    for name in ("tus_old", "tus_whole", "tus_new"):
        folder.create(upload(name))
    folder.append("tus_whole", [b"abcd"])
    for name in ("tus_old", "tus_whole"):
        os.utime(folder.data(name), (time.time() - 100, time.time() - 100))
    assert [found.id for found in folder.sweep()] == ["tus_whole"]
    assert {path.name for path in tmp_path.iterdir()} == {"tus_whole", "tus_new"}
