"""What one caller may have open is bounded, and so is what all may have."""

import pytest

from web.http.concurrency_limit import ConcurrencyLimit
from web.http.problems import Problem


def limit(per_caller: int, total: int = 0) -> ConcurrencyLimit:
    return ConcurrencyLimit("too-many", "things", per_caller=per_caller, total=total)


def test_a_caller_at_its_limit_is_refused_and_others_are_not() -> None:
    limits = limit(2)
    limits.enter("anna")
    limits.enter("anna")
    with pytest.raises(Problem, match="you have 2 things open") as caught:
        limits.enter("anna")
    assert (caught.value.status, caught.value.code) == (429, "too-many")
    assert "Retry-After" in caught.value.headers
    limits.enter("bert")


def test_what_is_closed_may_be_opened_again() -> None:
    limits = limit(1)
    for _ in range(3):
        with limits.entered("anna"):
            pass
    with pytest.raises(Problem), limits.entered("anna"), limits.entered("anna"):
        pass
    limits.enter("anna")


def test_all_callers_together_have_a_limit() -> None:
    limits = limit(0, total=3)
    for caller in ("anna", "bert", "carl"):
        limits.enter(caller)
    with pytest.raises(Problem, match="3 things"):
        limits.enter("dora")
    limits.leave("bert")
    limits.enter("dora")


def test_callers_that_have_left_take_no_memory() -> None:
    limits = limit(5)
    for number in range(1_000):
        with limits.entered(f"caller-{number}"):
            pass
    assert not limits._open
