"""Two live members of a consumer group with one id both go on, silently: there must never be two."""

import socket
from pathlib import Path

import pytest

from agents.control.main import claim
from streams.settings import Settings


def test_every_control_has_an_id_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Settings(data_dir=str(tmp_path / "here"))
    claims = [claim(here), claim(here)]
    monkeypatch.setattr(socket, "gethostname", lambda: "another machine")
    claims.append(claim(Settings(data_dir=str(tmp_path / "there"))))
    assert len({member_id for member_id, _ in claims}) == len(claims)
    for _, lock in claims:
        lock.close()


def test_a_restarted_control_finds_its_id_again(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    first, lock = claim(settings)
    lock.close()
    again, lock = claim(settings)
    lock.close()
    assert again == first
