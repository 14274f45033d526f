"""Executors by their reports: read on demand, once for all who need them."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.kafka.executor_reports import DatedReport, silent_before
from streams.settings import Settings
from tests.unit.streams.kafka.test_executor_reports import dated
from web.api.executors import executor_view
from web.readmodel import executors as module
from web.readmodel.executors import Executors


async def counted(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> tuple[Executors, list[int]]:
    counts: list[int] = []

    async def count(*_: object) -> Any:
        await asyncio.sleep(0)
        outcome = outcomes[len(counts)]
        counts.append(1)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(module, "latest_reports", count)
    return Executors(Settings()), counts


def two_with_noop() -> list[DatedReport]:
    return [dated(name, time.time(), "noop") for name in ("a", "b")]


async def test_concurrent_requests_share_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    executors, reads = await counted(monkeypatch, two_with_noop())
    counts = await asyncio.gather(*(executors.by_step() for _ in range(50)))
    assert [found and found["noop"] for found in counts] == [2] * 50 and len(reads) == 1
    await executors.close()


async def test_none_is_known_without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FRESH_S", -1.0)
    executors, _ = await counted(monkeypatch, two_with_noop(), KafkaConnectionError("away"))
    assert [found is None for found in (await executors.by_step(), await executors.by_step())] == [False, True]
    await executors.close()


def test_an_executor_is_marked_when_it_is_silent_drains_or_has_another_version() -> None:
    now = time.time()
    reports = [dated("a", now, "noop"), dated("b", now, draining=True), dated("c", now - 7.0)]
    views = [executor_view(found, silent_before(reports, now), "1") for found in reports]
    assert [view.status for view in views] == ["active", "draining", "silent"]
    assert (views[0].slots, views[0].outdated) == ({"noop": 1}, False)
    assert executor_view(reports[0], 0.0, "2").outdated
