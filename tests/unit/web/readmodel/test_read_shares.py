"""Shares of the interpreter: a caller who reads all the time does not delay those who read now and then."""

import time
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection

import pytest

from web.http.fair_semaphore import CALLER
from web.readmodel.read_model import ReadModel
from web.readmodel.read_shares import ReadShares, in_shares


def _alone(_caller: str) -> bool:
    return False


def test_reading_now_and_then_uses_no_share_up() -> None:
    shares = ReadShares(_alone)
    assert not any(shares.charge("anna", 0.02, float(second)) for second in range(100))


def test_reading_on_uses_the_share_up_and_time_gives_it_back() -> None:
    shares = ReadShares(_alone)
    assert [shares.charge("anna", 0.02, 0.02 * turn) for turn in range(1, 6)] == [False, False, True, True, True]
    assert not shares.charge("bert", 0.02, 0.1)
    assert shares.charge("anna", 0.001, 0.3)
    assert not shares.charge("anna", 0.001, 2.0)


def _long_list(_db: Connection) -> int:
    """Rows that take 120 ms of processor time to render."""
    rows = 0
    for _ in in_shares(range(120)):
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass
        rows += 1
    return rows


def _row(_db: Connection) -> int:
    return 1


class Pauses:
    """A read model, whose readers' pauses are counted and not made."""

    def __init__(self, model: ReadModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self._model, self.pauses = model, 0
        monkeypatch.setattr(time, "sleep", self._note)

    def _note(self, _seconds: float) -> None:
        self.pauses += 1

    async def read(self, caller: str, query: Callable[[Connection], int]) -> int:
        """Read as a caller; the pauses of that."""
        CALLER.set(caller)
        self.pauses = 0
        await self._model.read(query)
        return self.pauses


async def test_a_reader_pauses_while_others_call_once_its_share_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ReadModel(tmp_path / "rows.sqlite3", history=10)
    try:
        pauses = Pauses(model, monkeypatch)
        assert await pauses.read("anna", _long_list) == 0, "nobody else calls"
        assert await pauses.read("", _row) == 0
        assert await pauses.read("anna", _long_list) == 0, "the process itself is nobody else"
        assert await pauses.read("bert", _row) == 0
        assert await pauses.read("anna", _long_list) > 10
        assert await pauses.read("bert", _row) == 0
        assert await pauses.read("", _long_list) == 0, "what all wait for"
    finally:
        model.close()
