"""Progress never falls, and is sent about once a second."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.executor.progress import Progress


@given(st.lists(st.floats(), max_size=20))
def test_progress_never_falls_and_stays_between_0_and_1(values: list[float]) -> None:
    progress = Progress(interval_s=1.0)
    seen = [0.0]
    for value in values:
        progress.note(value, {"720p": value})
        seen.append(progress.value)
    assert seen == sorted(seen)
    assert all(0 <= value <= 1 for value in (*seen, *progress.parts.values()))


def test_news_is_said_at_once_and_then_once_an_interval() -> None:
    progress = Progress(interval_s=1.0)
    assert not progress.due(100.0)
    progress.note(0.1, {})
    assert progress.due(100.0)
    progress.sent(100.0)
    progress.note(0.2, {})
    assert not progress.due(100.9)
    assert progress.due(101.0)


def test_without_news_nothing_is_said() -> None:
    progress = Progress(interval_s=1.0)
    progress.note(0.1, {})
    progress.sent(100.0)
    assert not progress.due(200.0)


def test_the_time_left_is_guessed_from_the_pace() -> None:
    progress = Progress(interval_s=1.0)
    assert progress.eta_s(50.0) is None
    progress.begin(100.0)
    progress.note(0.25, {})
    assert progress.eta_s(101.0) is None
    assert progress.eta_s(110.0) == pytest.approx(30.0)
    progress.note(math.nan, {})
    assert progress.eta_s(110.0) == pytest.approx(30.0)
