"""How long a consumer's fetch waits for its first byte: as long as the consumer was made to, and shortly at times.

A fetch leaves out the partitions whose records are still unread, and one fetch at a time is under way to a broker: what
arrives on such a partition meanwhile waits for its end, so that fetch is short. One that asks for every partition
returns with the first byte anyway, and may be long. aiokafka has one figure for both.
"""

from typing import Any

from aiokafka.consumer.fetcher import Fetcher

#: Most while records are unread. Measured: 1,500 (hard-coded in Faust) stalls a partition for up to 1.3 s.
SHORT_MS = 50


class FetchWait:
    """`Fetcher._fetch_max_wait_ms`: what aiokafka sets there is the most."""

    def __get__(self, fetcher: Any, owner: type) -> int:
        """Milliseconds for a fetch that leaves now."""
        longest: int = fetcher.__dict__["longest_wait_ms"]
        return min(SHORT_MS, longest) if fetcher._records else longest

    def __set__(self, fetcher: Any, value: int) -> None:
        """Keep `fetch_max_wait_ms` of the consumer."""
        fetcher.__dict__["longest_wait_ms"] = value


def install() -> None:
    """For every consumer of this process that starts from now on."""
    Fetcher._fetch_max_wait_ms = FetchWait()
