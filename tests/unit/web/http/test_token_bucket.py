"""Token buckets."""

from hypothesis import given
from hypothesis import strategies as st

from web.http.token_bucket import Buckets


def test_a_burst_is_let_through_and_then_the_rate_holds() -> None:
    buckets = Buckets()
    assert [buckets.wait_s("a", 0.0, per_s=2.0, burst=3.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.wait_s("a", 0.5, per_s=2.0, burst=3.0) == 0.0
    assert buckets.wait_s("b", 0.5, per_s=2.0, burst=3.0) == 0.0


@given(st.lists(st.floats(0, 0.5), max_size=200))
def test_never_more_than_the_burst_and_the_rate_allow(pauses: list[float]) -> None:
    buckets, now, passed = Buckets(), 0.0, 0
    for pause in pauses:
        now += pause
        passed += buckets.wait_s("a", now, per_s=4.0, burst=5.0) == 0.0
    assert passed <= 5 + 4 * now + 1e-6


def test_what_is_forgotten_is_bounded() -> None:
    buckets = Buckets(remembered=2)
    for key in "abc":
        buckets.wait_s(key, 0.0, per_s=1.0, burst=1.0)
    assert buckets.level("a", 0.0, per_s=1.0, burst=1.0) == 1.0
    assert buckets.level("c", 0.0, per_s=1.0, burst=1.0) == 0.0
