"""Endless retries for processes that outlive the broker: growing pauses with jitter, and few log lines."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NoReturn, TypeVar

from aiokafka.errors import KafkaConnectionError, KafkaError

log = logging.getLogger(__name__)

R = TypeVar("R")

#: First and longest pause, seconds. A broker is back 2 to 5 s after its restart began.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
#: Seconds after which a follower that is connected again counts as recovered.
_STEADY_S = 5.0
#: Failures for the lack of a broker. streams/kafka/patch_connection.py logs those, once for the whole process.
_UNREACHABLE = (KafkaConnectionError, OSError)


async def retry_forever(name: str, attempt: Callable[[], Awaitable[R]]) -> R:
    """The result of the first attempt that does not raise KafkaError, OSError or TimeoutError."""
    outage = Outage(name)
    while True:
        try:
            return await attempt()
        except (KafkaError, OSError, TimeoutError) as error:
            outage.note(error)
        await asyncio.sleep(outage.pause_s())


async def follow_forever(
    name: str,
    connect: Callable[[], AbstractAsyncContextManager[R]],
    follow: Callable[[R], Awaitable[None]],
    *,
    also: tuple[type[Exception], ...] = (),
    on_failure: Callable[[], None] = lambda: None,
) -> NoReturn:
    """Run `follow` over a new connection each time that either fails, until cancelled.

    Failures are KafkaError, OSError, TimeoutError and `also`; `on_failure` is called after each.
    """
    outage = Outage(name)
    while True:
        steady = None
        try:
            async with connect() as connection:
                steady = asyncio.get_running_loop().call_later(_STEADY_S, outage.end)
                await follow(connection)
        except (KafkaError, OSError, TimeoutError, *also) as error:
            outage.note(error)
            on_failure()
        finally:
            if steady is not None:
                steady.cancel()
        await asyncio.sleep(outage.pause_s())


class Outage:
    """A series of failures: one log line when it begins and one when it is over, and a growing pause after each."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failures = 0
        self._logged = False

    def note(self, error: Exception) -> None:
        """Count a failure."""
        self._failures += 1
        if not self._logged and not isinstance(error, _UNREACHABLE):
            log.warning("retrying", extra={"what": self._name, "error": repr(error)})
            self._logged = True

    def end(self) -> None:
        """End the series."""
        if self._logged:
            log.info("recovered", extra={"what": self._name, "failures": self._failures})
        self._failures, self._logged = 0, False

    def pause_s(self) -> float:
        """Seconds until the next try. Jittered, so that replicas do not retry in step."""
        longest_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        return random.uniform(longest_s / 2, longest_s)  # noqa: S311 - jitter, no secret
