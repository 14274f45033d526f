"""Executors per queue: counted on demand, once for all who need the count."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.settings import Settings
from web.readmodel import queue_executors
from web.readmodel.queue_executors import QueueExecutors


async def counted(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> tuple[QueueExecutors, list[int]]:
    counts: list[int] = []

    async def count(*_: object) -> Any:
        await asyncio.sleep(0)
        outcome = outcomes[len(counts)]
        counts.append(1)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(queue_executors, "executors_by_step", count)
    return QueueExecutors(Settings()), counts


async def test_concurrent_requests_share_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    executors, counts = await counted(monkeypatch, {"noop": 2})
    assert await asyncio.gather(*(executors.by_step() for _ in range(50))) == [{"noop": 2}] * 50
    assert await executors.by_step() == {"noop": 2} and len(counts) == 1
    await executors.close()


async def test_none_is_known_without_a_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_executors, "_FRESH_S", -1.0)
    executors, _ = await counted(monkeypatch, {"noop": 2}, KafkaConnectionError("away"))
    assert [await executors.by_step() for _ in range(2)] == [{"noop": 2}, None]
    await executors.close()
