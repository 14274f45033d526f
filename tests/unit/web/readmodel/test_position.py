"""A replica knows which writes it has read."""

import asyncio

from web.http.cursors import WriteCursor
from web.readmodel.position import Position


def restarted() -> Position:
    position = Position("media.commands")
    position.restart("a mark", [0, 0], rebuilding=False)
    return position


async def test_waiting_for_ones_own_write_ends_when_it_is_applied_or_on_timeout() -> None:
    position, cursor = restarted(), WriteCursor("a mark", {0: 4})
    assert not await position.until(lambda: position.has_applied("jobs", cursor), 0.01)
    waiting = asyncio.create_task(position.until(lambda: position.has_applied("jobs", cursor), 5))
    await asyncio.sleep(0)
    position.note_applied({"jobs": {("media.commands", 0): 3}})
    position.note_applied({"jobs": {("media.commands", 0): 4}})
    assert await waiting
    assert not position._waiting


def test_an_older_offset_never_replaces_a_newer_one() -> None:
    position = restarted()
    position.note_applied({"jobs": {("media.commands", 0): 4}, "assets": {("media.commands", 0): 7}})
    position.note_applied({"jobs": {("media.commands", 0): 2}})
    assert position.has_applied("jobs", WriteCursor("a mark", {0: 4}))
    assert not position.has_applied("jobs", WriteCursor("a mark", {0: 5}))
    assert (position.applied("media.commands", 0), position.applied("media.commands", 1)) == (7, -1)


def test_what_was_applied_on_another_log_does_not_count() -> None:
    position = restarted()
    position.note_applied({"jobs": {("media.commands", 0): 4}})
    position.caught_up.set()
    position.restart("another mark", [0, 0], rebuilding=True)
    assert not position.has_applied("jobs", WriteCursor("another mark", {0: 0}))
    assert not position.caught_up.is_set()
