"""A part that dies comes back, slower each time; one that cannot run is not started for ever."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from streams.broker.jvm import BrokerError
from streams.supervisor.restarts import LOOP_ENDS, Backoff, ExitHistory, RestartedPart, StartFailed, is_looping


class FakePart:
    """Ends with the next of `codes` as soon as it is waited for; lives on when there are no more."""

    def __init__(self, codes: list[int], *, ready: bool = True, refuses: Exception | None = None) -> None:
        self._codes = iter(codes)
        self._ready = ready
        self._refuses = refuses
        self.starts = 0

    @property
    def pid(self) -> int:
        return self.starts

    async def start(self) -> None:
        if self._refuses:
            raise self._refuses
        self.starts += 1

    async def wait_ready(self) -> None:
        if not self._ready:
            await asyncio.Event().wait()

    async def wait(self) -> int:
        for _ in range(5):
            await asyncio.sleep(0)  # gives readiness its turn
        code = next(self._codes, None)
        return code if code is not None else await asyncio.Future()


def no_pause() -> Backoff:
    return Backoff(first_s=0.0)


async def test_a_part_that_dies_is_started_again_and_again() -> None:
    part = FakePart([-9, 70, 0, -9, 1, 1])
    pids: list[int] = []
    keeper = RestartedPart("web", part, backoff=no_pause(), on_start=lambda: pids.append(part.pid))
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(5):
        while part.starts < 7:
            await asyncio.sleep(0)
    running.cancel()
    assert pids == [1, 2, 3, 4, 5, 6, 7]


async def test_a_part_that_never_becomes_ready_ends_the_start_instead_of_looping() -> None:
    part = FakePart([1] * 50, ready=False)
    with pytest.raises(StartFailed, match="control never became ready: it exited with code 1") as failed:
        await RestartedPart("control", part, backoff=no_pause()).run()
    assert (part.starts, failed.value.exit_code) == (LOOP_ENDS, 1)


async def test_a_part_with_bad_settings_is_not_started_twice() -> None:
    part = FakePart([2], ready=False)
    with pytest.raises(StartFailed, match="cannot run with these settings") as failed:
        await RestartedPart("web", part, backoff=no_pause()).run()
    assert (part.starts, failed.value.exit_code) == (1, 2)


async def test_what_the_broker_needs_is_said_in_its_own_words() -> None:
    part = FakePart([], refuses=BrokerError("java-missing", "Java 17 or newer is needed"))
    with pytest.raises(StartFailed, match="Java 17 or newer is needed"):
        await RestartedPart("broker", part, backoff=no_pause()).run()


async def test_a_crash_loop_is_called_one(caplog: pytest.LogCaptureFixture) -> None:
    part = FakePart([70] * LOOP_ENDS)
    running = asyncio.create_task(RestartedPart("control", part, backoff=no_pause()).run())
    async with asyncio.timeout(5):
        while part.starts <= LOOP_ENDS:
            await asyncio.sleep(0)
    running.cancel()
    assert [record.levelname for record in caplog.records if "CRASH LOOP" in record.message] == ["ERROR"]


def pauses(backoff: Backoff) -> Iterator[float]:
    return (backoff.pause_s(healthy_s=1.0) for _ in itertools.count())


def test_pauses_double_to_ten_seconds() -> None:
    assert list(itertools.islice(pauses(Backoff()), 8)) == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_healthy_minute_forgives() -> None:
    backoff = Backoff()
    list(itertools.islice(pauses(backoff), 8))
    assert backoff.pause_s(healthy_s=60.0) == 0.2


async def test_a_crash_loop_is_noted_for_whoever_asks() -> None:
    part, noted = FakePart([77] * LOOP_ENDS), list[ExitHistory | None]()
    keeper = RestartedPart("control", part, backoff=no_pause(), on_end=lambda: noted.append(keeper.ends))
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(5):
        while len(noted) < LOOP_ENDS:
            await asyncio.sleep(0)
    running.cancel()
    last = noted[-1]
    assert last is not None
    assert (last.ends, last.in_a_row, last.how) == (LOOP_ENDS, LOOP_ENDS, "exited with code 77")
    assert is_looping(last, last.at + 1)
    assert not is_looping(last, last.at + 3600), "it has been well ever since"
    assert not is_looping(last._replace(in_a_row=1), last.at)
