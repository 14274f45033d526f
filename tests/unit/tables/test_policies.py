"""When to try again."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.base import ErrorRecord
from schemas.jobs import RetryPolicy
from tables.policies import loss_delay_s, requested_delay_s, retry_delay_s


@given(st.integers(1, 50), st.text(max_size=20))
def test_delays_stay_within_the_policy(failures: int, seed: str) -> None:
    policy = RetryPolicy(delay_s=2.0, factor=2.0, max_s=300.0, jitter=0.1)
    assert 1.8 <= retry_delay_s(policy, failures, seed) <= 330.0


def test_exponential_delays_grow_and_fixed_ones_do_not() -> None:
    exponential, fixed = RetryPolicy(jitter=0.0), RetryPolicy(backoff="fixed", delay_s=60.0, jitter=0.0)
    assert [retry_delay_s(exponential, n, "") for n in (1, 2, 3)] == [2.0, 4.0, 8.0]
    assert {retry_delay_s(fixed, n, "") for n in (1, 2, 3)} == {60.0}


def test_the_same_seed_spreads_the_same_way() -> None:
    assert retry_delay_s(RetryPolicy(), 1, "a") == retry_delay_s(RetryPolicy(), 1, "a")
    assert retry_delay_s(RetryPolicy(), 1, "a") != retry_delay_s(RetryPolicy(), 1, "b")


def test_losses_wait_longer_each_time_up_to_a_minute() -> None:
    assert [loss_delay_s(n) for n in (1, 2, 3, 8)] == [1.0, 2.0, 4.0, 60.0]


def test_a_wait_that_was_asked_for_is_kept_within_reason() -> None:
    def delay_s(seconds: float | None) -> float:
        return requested_delay_s(ErrorRecord(code="c", message="m", retry_after_s=seconds), 2.0)

    assert [delay_s(None), delay_s(1.0), delay_s(30.0), delay_s(1e9)] == [2.0, 2.0, 30.0, 3600.0]
