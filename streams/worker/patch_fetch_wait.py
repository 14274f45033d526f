"""The maximum wait of a fetch: the consumer's, and a short one while fetched records are unread.

A fetch leaves out partitions with unread records, and there is one fetch at a time per broker: a record that arrives on
such a partition waits for the end of the fetch, so that must be short. A fetch of all partitions returns with the first
record anyway. aiokafka has one figure for both.
"""

from typing import Any

from aiokafka.consumer.fetcher import Fetcher

#: Maximum while records are unread, ms. Measured: 1,500 (hard-coded in Faust) stalls a partition for up to 1.3 s.
SHORT_MS = 50


class FetchWait:
    """`Fetcher._fetch_max_wait_ms`, a descriptor: what aiokafka sets is the maximum."""

    def __get__(self, fetcher: Any, owner: type) -> int:
        """Maximum wait of a fetch that is sent now, ms."""
        longest: int = fetcher.__dict__["longest_wait_ms"]
        return min(SHORT_MS, longest) if fetcher._records else longest

    def __set__(self, fetcher: Any, value: int) -> None:
        """Keep `fetch_max_wait_ms` of the consumer."""
        fetcher.__dict__["longest_wait_ms"] = value


def install() -> None:
    """For every consumer of this process that starts from now on."""
    Fetcher._fetch_max_wait_ms = FetchWait()
