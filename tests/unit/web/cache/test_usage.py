"""Usage of cached media: what was used last is kept, and lookups are counted."""

import pytest

from web.cache import usage
from web.cache.usage import CacheUsage


def test_uses_of_cached_media_are_compared_by_the_logs_time() -> None:
    cache = CacheUsage(lambda: 50.0)
    cache.learn({"asset_1": 9_999_999.0, "asset_2": 20.0})  # the first comes from a replica whose clock is ahead
    cache.use("asset_2")
    assert dict(cache.used_at) == {"asset_1": 50.0, "asset_2": 50.0}
    unknown = CacheUsage(lambda: None)
    unknown.use("asset_1")
    assert not unknown.used_at


def test_the_longest_unused_assets_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MAX_USES", 2)
    cache = CacheUsage(lambda: 50.0)
    for asset_id in ("asset_1", "asset_2", "asset_1", "asset_3"):
        cache.use(asset_id)
    assert set(cache.used_at) == {"asset_1", "asset_3"}


def test_only_the_first_request_adds_an_asset_until_that_has_failed() -> None:
    cache = CacheUsage()
    assert [cache.add("asset_1"), cache.add("asset_1")] == [True, False]
    cache.forget("asset_1")
    assert cache.add("asset_1")


def test_uses_of_deleted_assets_are_dropped() -> None:
    cache = CacheUsage(lambda: 50.0)
    cache.learn({"asset_1": 1.0, "asset_2": 2.0})
    cache.keep_only(["asset_2"])
    assert dict(cache.used_at) == {"asset_2": 2.0}
