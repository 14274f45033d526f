"""What makes room in the cache."""

from web.background.cache_eviction import Kept, too_much


def test_the_longest_unused_goes_first_and_no_more_than_must() -> None:
    kept = [Kept("a", 10, 1.0), Kept("b", 10, 2.0), Kept("c", 10, 3.0)]
    assert too_much(kept, {}, 30) == []
    assert too_much(kept, {}, 25) == ["a"]
    assert too_much(kept, {"a": 9.0}, 15) == ["b", "c"]
