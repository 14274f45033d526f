"""Watches over readers: finds one that has stopped without an error: records wait, and its position does not move."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NoReturn

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

_CHECK_S = 2.5
#: Checks without a move after which a reader counts as stalled: 10 s. After 6 s all executors count as silent.
_CHECKS = 4

Offsets = Mapping[TopicPartition, int]


class ReaderStalled(TimeoutError):
    """A reader has stopped."""


class Stall:
    """Counts the checks in a row at which a partition had records waiting and its reader had not moved. Pure."""

    def __init__(self) -> None:
        self._waiting: dict[TopicPartition, tuple[int, int]] = {}

    def observe(self, positions: Offsets, ends: Offsets) -> str | None:
        """Note a check. Returns what has stalled, if anything has."""
        for part, position in positions.items():
            before, checks = self._waiting.pop(part, (-1, 0))
            if position < ends[part]:
                checks = checks + 1 if position == before else 0
                self._waiting[part] = (position, checks)
                if checks >= _CHECKS:
                    return f"{part.topic}/{part.partition} at offset {position} (end: {ends[part]})"
        return None

    def reset(self) -> None:
        """The log could not be asked: whatever was waiting may have had no chance to be read."""
        self._waiting.clear()


async def watch_reader(
    reader: Any, lookup: Any, parts: Sequence[TopicPartition], *, check_s: float = _CHECK_S
) -> NoReturn:
    """Raise ReaderStalled when `reader` has stopped. `lookup`: a reader that fetches nothing, see reader.py."""
    stall = Stall()
    while True:
        await asyncio.sleep(check_s)
        try:
            async with asyncio.timeout(check_s):
                ends = await lookup.end_offsets(parts)
                positions = {part: await reader.position(part) for part in parts}
        except (KafkaError, OSError, TimeoutError):
            stall.reset()
            continue
        if what := stall.observe(positions, ends):
            raise ReaderStalled(what)


async def run_watched(work: Coroutine[Any, Any, None], watching: Coroutine[Any, Any, NoReturn]) -> None:
    """Run `work` until it ends or `watching` raises, and cancel the other. Raises what the first of them raises."""
    tasks = [asyncio.create_task(work), asyncio.create_task(watching)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
