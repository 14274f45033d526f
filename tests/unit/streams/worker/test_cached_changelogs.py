"""A cache of a changelog counts only where the log goes on from it; otherwise rows would come back or be missing."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.worker.cached_changelog import AnotherLog, Check

PART = TP("rows", 0)
_DAY_S = 86_400.0


def check(offset: int | None = 9, timestamp_ms: int = 1_000_000) -> Check:
    position = SimpleNamespace(offset=offset, timestamp_ms=timestamp_ms, topic_id="topic-1")
    return Check(PART, position if offset is not None else None)


def record(offset: int, timestamp: int = 1_000_000) -> Any:
    return SimpleNamespace(offset=offset, timestamp=timestamp)


async def never() -> float:
    raise AssertionError("the time is not needed")


async def soon() -> float:
    return 1_000.0 + 60


async def next_day() -> float:
    return 1_000.0 + _DAY_S


async def test_a_log_that_goes_on_from_the_cache_is_read_from_there() -> None:
    checked = check()
    checked.require_end(9)
    await checked.require_same([record(9), record(10, 1_000_500), record(11, 1_000_900)], never)
    await checked.require_same([record(12, 1_001_000)], never)


def test_a_log_that_ends_before_the_cache_has_lost_what_the_cache_has() -> None:
    with pytest.raises(AnotherLog):
        check().require_end(8)


def test_a_topic_that_was_created_again_is_another_log() -> None:
    check().require_topic("topic-1")
    check().require_topic("")  # the brokers have no ids
    check(None).require_topic("topic-2")
    with pytest.raises(AnotherLog):
        check().require_topic("topic-2")


async def test_a_log_with_another_record_at_that_place_is_another_one() -> None:
    with pytest.raises(AnotherLog):
        await check().require_same([record(9, 999_999)], never)


async def test_tombstones_that_compaction_may_have_removed_meanwhile_are_not_missed() -> None:
    """The rows that they deleted would be there for ever."""
    await check().require_same([record(9), record(12)], soon)
    with pytest.raises(AnotherLog):
        await check().require_same([record(9), record(12)], next_day)
    with pytest.raises(AnotherLog):
        await check().require_same([record(10)], next_day)
    with pytest.raises(AnotherLog):
        await check().require_same([record(12)], None)


async def test_an_old_cache_counts_where_nothing_was_removed_behind_it() -> None:
    await check().require_same([record(9), record(10), record(11)], next_day)


async def test_without_a_cache_nothing_is_checked() -> None:
    checked = check(None)
    checked.require_end(-1)
    await checked.require_same([record(5), record(70)], never)
