"""A reader of reports that has stopped without an error is found; a slow, an idle or an unreachable one is not."""

import asyncio
from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams.kafka.reader_watch import ReaderStalled, watch_reader

REPORTS, ROWS = TopicPartition("executors", 0), TopicPartition("rows", 3)
TICK_S = 0.001


class Reader:
    """Its positions, check by check; the last one stays."""

    def __init__(self, positions: Iterable[int]) -> None:
        self._positions, self._at = iter(positions), 0

    async def position(self, part: TopicPartition) -> int:
        if part == REPORTS:
            self._at = next(self._positions, self._at)
        return self._at if part == REPORTS else 7


class Lookup:
    """The ends, check by check."""

    def __init__(self, ends: Iterable[int | None]) -> None:
        self._ends, self.checks = iter(ends), 0

    async def end_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.checks += 1
        end = next(self._ends)
        if end is None:
            raise KafkaConnectionError
        return {part: end if part == REPORTS else 7 for part in parts}


async def watch(reader: Any, lookup: Any) -> None:
    await watch_reader(reader, lookup, [REPORTS, ROWS], check_s=TICK_S)


async def test_a_reader_that_stopped_is_found() -> None:
    with pytest.raises(ReaderStalled, match="executors/0 at offset 3"):
        await asyncio.wait_for(watch(Reader([1, 2, 3]), Lookup(count(4))), 30)


@pytest.mark.parametrize(
    "positions, ends",
    [
        pytest.param(count(1), count(50), id="behind, and it reads"),
        pytest.param([5], iter(lambda: 5, 0), id="nothing to read"),
        pytest.param([5], (None if n % 3 == 0 else 9 for n in count()), id="a broker that comes and goes"),
    ],
)
async def test_others_are_left_alone(positions: Iterable[int], ends: Iterable[int | None]) -> None:
    lookup = Lookup(ends)
    watching = asyncio.create_task(watch(Reader(positions), lookup))
    async with asyncio.timeout(30):
        while lookup.checks < 20:
            assert not watching.done()
            await asyncio.sleep(TICK_S)
    watching.cancel()
