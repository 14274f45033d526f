"""A folder that cannot be written is named with its setting; a disk that is full for now is no wrong setting."""

import errno
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.process.exit import EX_CONFIG, EX_SOFTWARE
from streams.process.folders import is_refusal, require_store, require_writable
from streams.settings import SettingsError
from streams.worker.app import why_not_started
from tests.conftest import MakeSettings


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "some" / "folder", "KINOLOG_X")
    assert list((tmp_path / "some").iterdir()) == [tmp_path / "some" / "folder"]
    assert list((tmp_path / "some" / "folder").iterdir()) == []


@pytest.mark.parametrize("below", ["", "/folder"])
def test_a_file_in_the_place_of_a_folder_is_a_wrong_setting(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=f"KINOLOG_X: .*/file{below} is not writable: "):
        require_writable(Path(f"{tmp_path}/file{below}"), "KINOLOG_X")


def test_a_bucket_is_no_folder_of_this_machine(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.process.folders.require_writable", None)
    require_store(make_settings(KINOLOG_STORE__URL="s3://media"))


def test_a_full_disk_is_no_refusal() -> None:
    assert not is_refusal(OSError(errno.ENOSPC, "No space left on device"))


@pytest.mark.parametrize(
    "error, code, word",
    [
        (KafkaConnectionError("no"), EX_SOFTWARE, "broker"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), EX_CONFIG, "not writable"),
        (KeyError("partitions"), EX_SOFTWARE, "cannot start"),
    ],
)
def test_only_the_brokers_absence_is_blamed_on_the_broker(error: Exception, code: int, word: str) -> None:
    found = why_not_started(error)
    assert found[0] == code and word in found[1]
    assert ("broker" in found[1]) == isinstance(error, KafkaConnectionError)
