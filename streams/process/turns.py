"""Long loops on an event loop, in turn with everything else on it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

#: Rows that take a millisecond or two to decode.
_ROWS = 500


async def in_turns(items: Iterable[T], at_a_time: int = _ROWS) -> AsyncIterator[T]:
    """The items, with a turn for the rest of the event loop before each further `at_a_time` of them."""
    for number, item in enumerate(items):
        if number and number % at_a_time == 0:
            await asyncio.sleep(0)
        yield item
