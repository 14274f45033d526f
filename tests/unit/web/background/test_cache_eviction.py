"""Which cached media is evicted."""

from web.background.cache_eviction import CachedMedia, to_evict


def test_the_longest_unused_goes_first_and_no_more_than_must() -> None:
    kept = [CachedMedia("a", 10, 1.0), CachedMedia("b", 10, 2.0), CachedMedia("c", 10, 3.0)]
    assert to_evict(kept, {}, 30) == []
    assert to_evict(kept, {}, 25) == ["a"]
    assert to_evict(kept, {"a": 9.0}, 15) == ["b", "c"]
