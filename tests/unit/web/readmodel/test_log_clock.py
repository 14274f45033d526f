"""The log's time: the broker's, whatever this machine's clock says."""

import asyncio
import time

import pytest

from web.http.problems import Problem, unavailable
from web.readmodel.log_clock import LogClock


class Broker:
    """Dates records by its own clock."""

    def __init__(self) -> None:
        self.at = 1_000_000.0
        self.away = False

    async def date(self) -> float:
        if self.away:
            raise unavailable("broker-unavailable", "it is away")
        return self.at


@pytest.fixture
def broker() -> Broker:
    return Broker()


async def test_the_logs_time_is_unknown_until_it_is_measured(broker: Broker) -> None:
    broker.away = True
    clock = LogClock(broker.date, lambda: 5.0)
    with pytest.raises(Problem):
        await clock.measure()
    assert not clock.known and clock.now_or_none() is None and await clock.within(0.01) is None
    for ask in (clock.now, clock.earlier):
        with pytest.raises(Problem) as caught:
            ask()
        assert caught.value.status == 503


async def test_who_asks_right_after_the_start_waits_for_the_first_measurement(broker: Broker) -> None:
    clock = LogClock(broker.date, lambda: 5.0)
    asking = asyncio.create_task(clock.soon())
    await asyncio.sleep(0)
    assert not asking.done()
    await clock.measure()
    assert await asyncio.wait_for(asking, 30) == 1_000_000.0


async def test_the_logs_time_goes_on_while_the_broker_is_unreachable(broker: Broker) -> None:
    seconds = 5.0
    clock = LogClock(broker.date, lambda: seconds)
    await clock.measure()
    broker.away, seconds = True, 12.0
    assert clock.now() == 1_000_007.0


@pytest.mark.parametrize("ahead_s, skew_s", [(0.0, 0.0), (-2_764_800.0, -2_764_800.0), (2_764_800.0, 2_764_800.0)])
async def test_the_skew_of_this_machines_clock_is_measured(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, ahead_s: float, skew_s: float
) -> None:
    monkeypatch.setattr(time, "time", lambda: broker.at + ahead_s)
    clock = LogClock(broker.date, lambda: 0.0)
    await clock.measure()
    assert clock.skew_s == skew_s
    assert clock.now() == broker.at
    assert clock.earlier() == broker.at + min(ahead_s, 0.0)


async def test_a_slow_response_is_no_skew(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([broker.at - 7.0, broker.at + 7.0])
    monkeypatch.setattr(time, "time", lambda: next(times))
    clock = LogClock(broker.date, lambda: 0.0)
    await clock.measure()
    assert clock.skew_s == 0.0
