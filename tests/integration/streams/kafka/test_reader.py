"""What a process looks up on the log before it is ready is never behind a fetch that waits for news."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agents.executor.control_follower import ControlFollower
from streams import audit
from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.kafka.producer import Producer
from streams.settings import Settings, load
from tests.broker_requests import Requests, requests
from web.auth.access_log import AccessLog
from web.auth.row_signatures import RowSigner

__all__ = ["requests"]  # a fixture is found by its name in this module


@pytest.fixture
async def settings(broker: Broker) -> Settings:
    """Topics of this module, with nothing on them."""
    found = load({"KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap, "KINOLOG_TOPIC_PREFIX": "reader."})
    await apply_topics(found, 60)
    return found


async def _tokens(settings: Settings) -> None:
    producer = Producer(settings, "reader-test")
    tokens = AccessLog(settings, producer, RowSigner([b"a secret"]), print)
    await _until(tokens.run, tokens.caught_up)


async def _revokes(settings: Settings) -> None:
    async def never(_: Any) -> None:
        raise AssertionError("there is nothing on the topic")

    follower = ControlFollower(settings, "reader-test", 0, on_revoke=print, on_requests=never, on_invalid=never)
    await _until(follower.run, follower.caught_up)


async def _audit(settings: Settings) -> None:
    assert [record async for record in audit.read_records(settings)] == []
    assert await audit.last_link(settings) is None


async def _until(run: Callable[[], Coroutine[Any, Any, None]], done: asyncio.Event) -> None:
    task = asyncio.create_task(run())
    try:
        await asyncio.wait_for(done.wait(), 30)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("read", [_tokens, _revokes, _audit])
async def test_an_empty_topic_is_known_to_be_empty_at_once(
    settings: Settings, requests: Requests, read: Callable[[Settings], Coroutine[Any, Any, None]]
) -> None:
    await read(settings)
    assert (requests.lookups_behind_a_fetch, requests.empty_fetches) == (0, 0)
