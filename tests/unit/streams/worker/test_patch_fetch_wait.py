"""Each consumer waits for its first byte as long as it was made to, and shortly while records of it are unread."""

from typing import Any

import pytest

from streams.worker.patch_fetch_wait import SHORT_MS, FetchWait


class Fetcher:
    """What the patch looks at of aiokafka's."""

    _fetch_max_wait_ms = FetchWait()

    def __init__(self, fetch_max_wait_ms: int) -> None:
        self._records: dict[str, Any] = {}
        self._fetch_max_wait_ms = fetch_max_wait_ms  # as aiokafka does


@pytest.mark.parametrize("wait_ms", [10, 100, 1500])
def test_a_consumer_that_has_read_everything_waits_as_long_as_it_was_made_to(wait_ms: int) -> None:
    short, other = Fetcher(wait_ms), Fetcher(700)
    assert (short._fetch_max_wait_ms, other._fetch_max_wait_ms) == (wait_ms, 700)


def test_while_records_are_unread_what_arrives_elsewhere_waits_shortly_and_never_longer_than_asked() -> None:
    follower, reader = Fetcher(1500), Fetcher(10)
    follower._records["part"] = reader._records["part"] = object()
    assert (follower._fetch_max_wait_ms, reader._fetch_max_wait_ms) == (SHORT_MS, 10)
