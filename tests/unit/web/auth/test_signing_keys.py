"""Keys of media URLs: the latest rotation counts, whatever the clock of the replica that made the one before."""

import asyncio
from typing import Any, cast

import msgspec

from schemas.access import SigningKeyRow
from web.auth.access_rows import AccessRows
from web.auth.signing_keys import SigningKeys

NOW, DAY_S = 1_780_000_000.0, 86_400.0


class Log:
    """The rows of keys, without a log."""

    def __init__(self) -> None:
        self.state, self.caught_up = AccessRows(), asyncio.Event()
        self.caught_up.set()

    async def write(self, row_id: str, value: bytes | None) -> None:
        self.state.keys.pop(row_id, None)
        if value is not None:
            self.state.keys[row_id] = msgspec.json.decode(value, type=SigningKeyRow)


def keys() -> SigningKeys:
    return SigningKeys(cast(Any, Log()), [b"one secret"], 7 * DAY_S)


async def test_a_rotation_after_one_that_was_dated_ahead_signs() -> None:
    found = keys()
    ahead = await found.rotate(NOW + 32 * DAY_S, "web-1")
    later = await found.rotate(NOW, "web-2")
    states = {state.row.id: state.status for state in found.states(NOW)}
    assert (states[later.row.id], states[ahead.row.id]) == ("signing", "accepted")
