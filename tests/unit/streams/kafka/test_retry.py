"""An outage is one line in the log when it begins and one when it is over, and no storm of retries."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaConnectionError, NotCoordinatorForGroupError

from streams.kafka import retry
from streams.kafka.retry import follow_forever


class Broker:
    """Fails connections until `failures` are used up; then it is followed for ever."""

    def __init__(self, failures: int, error: Exception = NotCoordinatorForGroupError()) -> None:  # noqa: B008
        self.failures, self.error, self.followed = failures, error, asyncio.Event()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        if self.failures:
            self.failures -= 1
            raise self.error
        yield

    async def follow(self, _: None) -> None:
        self.followed.set()
        await asyncio.Event().wait()


async def _follow(broker: Broker, resumed: asyncio.Event | None = None) -> None:
    """Follow until records are read, or until it is logged that they are read again."""
    following = asyncio.create_task(follow_forever("tokens", broker.connect, broker.follow))
    async with asyncio.timeout(10):
        await (resumed or broker.followed).wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_an_outage_is_logged_when_it_begins_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retry, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(retry, "_STEADY_S", 0.0)
    resumed = asyncio.Event()

    class Resumed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "recovered":
                resumed.set()

    handler = Resumed()
    retry.log.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, logger=retry.log.name):
            await _follow(Broker(failures=20), resumed)
    finally:
        retry.log.removeHandler(handler)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines == [("WARNING", "retrying"), ("INFO", "recovered")]


async def test_a_broker_that_is_away_is_logged_by_the_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retry, "_FIRST_PAUSE_S", 0.0)
    with caplog.at_level(logging.INFO, logger=retry.log.name):
        await _follow(Broker(20, KafkaConnectionError("refused")))
    assert not caplog.records


async def test_a_start_that_works_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=retry.log.name):
        await _follow(Broker(failures=0))
    assert not caplog.records


def test_replicas_retry_later_and_later_and_not_in_step() -> None:
    outage = retry.Outage("tokens")
    pauses = []
    for _ in range(10):
        outage.note(KafkaConnectionError("refused"))
        pauses.append({outage.pause_s() for _ in range(20)})
    assert all(len(of_one_try) == 20 for of_one_try in pauses)
    assert max(pauses[0]) < min(pauses[3]) < max(pauses[9]) <= retry._LONGEST_PAUSE_S
