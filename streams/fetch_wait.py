"""How long a consumer's fetch waits for its first byte, decided for each fetch; aiokafka has one figure for all.

A fetch leaves out the partitions whose records are still unread, and one fetch at a time is under way to a broker: what
arrives on such a partition meanwhile waits for its end, so that fetch is short. One that asks for every partition
returns with the first byte anyway, and may be long.
"""

from typing import Any

from aiokafka.consumer.fetcher import Fetcher

#: Measured: 1,500 (hard-coded in Faust) stalls a partition for up to 1.3 s.
SHORT_MS = 50
#: Measured: 12.7 % of a core for the idle system with 50, 6.7 % with 500, 4.9 % with 1,000, 4.4 % with 1,500; a job's
#: latency is the same. Starts become slower, for a look at offsets waits behind it: 6.8 s with 1,000, 7.1 with 1,500.
LONG_MS = 1500


class FetchWait:
    """`Fetcher._fetch_max_wait_ms`; what aiokafka sets there is not looked at."""

    def __get__(self, fetcher: Any, owner: type) -> int:
        """Milliseconds."""
        return SHORT_MS if fetcher._records else LONG_MS

    def __set__(self, fetcher: Any, value: int) -> None:
        """Nothing."""


def install() -> None:
    """For every consumer of this process that starts from now on."""
    Fetcher._fetch_max_wait_ms = FetchWait()
