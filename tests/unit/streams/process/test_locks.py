"""A lock has one holder, whose PID the others can name."""

import os
from pathlib import Path

import pytest

from streams.process.locks import Locked, NameTaken, claim, claim_first, is_locked, lock


def test_a_second_process_learns_who_holds_the_lock(tmp_path: Path) -> None:
    with lock(tmp_path / "lock"):
        assert is_locked(tmp_path / "lock")
        with pytest.raises(Locked) as caught:
            lock(tmp_path / "lock")
        assert caught.value.pid == os.getpid()
    assert not is_locked(tmp_path / "lock")
    lock(tmp_path / "lock").close()


def test_a_lock_file_that_names_no_process_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("not a number")
    assert not is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "missing" / "lock")
    with lock(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_restarted_process_gets_its_name_back(tmp_path: Path) -> None:
    first, held = claim_first(tmp_path, "control")
    second, other = claim_first(tmp_path, "control")
    with other, pytest.raises(NameTaken, match="control-1"):
        claim(tmp_path, first)
    held.close()
    again, held = claim_first(tmp_path, "control")
    assert (first, second, again) == ("control-1", "control-2", "control-1")
    held.close()
