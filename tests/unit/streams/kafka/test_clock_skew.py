"""A machine whose clock is wrong says so, by the timestamps of what it sends anyway."""

import asyncio
from types import SimpleNamespace

import pytest

from streams.kafka.clock_skew import SkewAlarm, skew


@pytest.mark.parametrize(
    "sent_at, at, received_at, expected",
    [(10.0, 10.2, 10.5, 0.0), (10.0, 10.2, 90.0, 0.0), (10.0, 4.0, 11.0, 6.0), (10.0, 30.0, 12.0, -18.0)],
)
def test_only_what_lies_outside_of_sending_and_response_is_a_difference(
    sent_at: float, at: float, received_at: float, expected: float
) -> None:
    assert skew(sent_at, at, received_at) == expected


async def test_a_wrong_clock_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    alarm = SkewAlarm(lambda: 32 * 86_400.0, lambda: now[0] + 1.0)
    for seconds in (0.0, 1.0, 59.0, 61.0):
        now[0] = seconds
        await _delivered(alarm, 1_000)
    assert [record.message for record in caplog.records] == ["this machine's clock differs from the broker's"] * 2


async def test_a_right_clock_and_a_failed_delivery_are_silent(caplog: pytest.LogCaptureFixture) -> None:
    alarm = SkewAlarm(lambda: 1_000.0)
    await _delivered(alarm, 1_000_200)
    failed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    alarm.watch(failed)
    failed.set_exception(OSError("no broker"))
    await asyncio.sleep(0)
    assert not caplog.records


async def _delivered(alarm: SkewAlarm, timestamp_ms: int) -> None:
    delivery: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    alarm.watch(delivery)
    delivery.set_result(SimpleNamespace(timestamp=timestamp_ms, timestamp_type=1))
    await asyncio.sleep(0)
