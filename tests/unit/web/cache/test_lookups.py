"""Counts of cache lookups: of all replicas, and nobody learns another owner's."""

from web.cache import lookups
from web.cache.lookups import LookupCounts, Lookups


def test_the_hit_ratio_is_that_of_all_replicas() -> None:
    counts = LookupCounts()
    assert counts.of(None).hit_ratio is None
    counts.count("anna", hit=False)
    counts.learn({None: Lookups(hits=3), "anna": Lookups(hits=1)})
    assert (counts.of(None), counts.of(None).hit_ratio) == (Lookups(3, 1), 0.75)
    assert (counts.of("anna"), counts.of("bert")) == (Lookups(1, 1), Lookups())


def test_an_operators_lookups_count_once() -> None:
    counts = LookupCounts()
    counts.count(None, hit=True)
    assert counts.of(None) == Lookups(1, 0)


def test_the_counts_of_everybody_outlast_those_of_many_owners() -> None:
    counts = LookupCounts()
    for number in range(lookups.MAX_OWNERS + 10):
        counts.count(f"owner-{number}", hit=True)
    assert counts.of(None) == Lookups(lookups.MAX_OWNERS + 10, 0)
    assert counts.of("owner-0") == Lookups()


def test_lookups_that_did_not_reach_the_others_are_kept() -> None:
    counts = LookupCounts()
    counts.count("anna", hit=True)
    taken = counts.take_unshared()
    counts.count("anna", hit=False)
    counts.give_back(taken)
    assert counts.of("anna") == counts.of(None) == Lookups(1, 1)
