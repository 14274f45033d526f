"""What deletions leave is erased after them, and tried again after a failure."""

import sqlite3
import threading

import pytest

from web.background.erasing import Erasing


async def test_a_pass_takes_as_many_steps_as_the_file_has() -> None:
    needed, steps = threading.Event(), iter([False, False, True])
    needed.set()

    async def step() -> bool:
        assert not needed.is_set(), "a deletion during a pass needs another one"
        return next(steps)

    await Erasing("a file", needed, step).erase()
    assert list(steps) == []
    assert not needed.is_set()


async def test_a_pass_that_failed_is_still_needed() -> None:
    needed = threading.Event()
    needed.set()

    async def step() -> bool:
        raise sqlite3.OperationalError("disk full")

    with pytest.raises(sqlite3.OperationalError):
        await Erasing("a file", needed, step).erase()
    assert needed.is_set()
