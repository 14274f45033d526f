"""Objects of a bucket that are kept on disk, when several steps want them at once."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processors.storage.errors import ObjectNotFound
from processors.storage.object_store import ObjectStore, open_store
from processors.storage.read_cache import LocalCache

_MB = 1_000_000


async def content(letter: str) -> AsyncIterator[bytes]:
    yield letter.encode() * _MB


@pytest.fixture
async def bucket() -> ObjectStore:
    store = open_store("memory:///")
    for letter in "abc":
        await store.put(f"uploads/{letter}", content(letter), max_bytes=_MB)
    return store


async def test_who_asks_at_the_same_time_waits_for_one_fetch(bucket: ObjectStore, tmp_path: Path) -> None:
    cache = LocalCache(tmp_path / "cache", 10 * _MB)
    targets = [tmp_path / str(number) for number in range(5)]
    await asyncio.gather(*(cache.fetch(bucket, "uploads/a", target) for target in targets))
    assert cache.fetched == 1
    assert all(target.stat().st_size == _MB for target in targets)


async def test_everybody_gets_theirs_when_there_is_room_for_one(bucket: ObjectStore, tmp_path: Path) -> None:
    cache = LocalCache(tmp_path / "cache", _MB)
    wanted = [(letter, tmp_path / f"{letter}{number}") for number in range(8) for letter in "abc"]
    await asyncio.gather(*(cache.fetch(bucket, f"uploads/{letter}", target) for letter, target in wanted))
    assert [target.read_bytes()[:1].decode() for _, target in wanted] == [letter for letter, _ in wanted]
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= _MB


async def test_the_longest_unused_object_goes_first(bucket: ObjectStore, tmp_path: Path) -> None:
    cache = LocalCache(tmp_path / "cache", 2 * _MB)
    for letter in "ab":
        await cache.fetch(bucket, f"uploads/{letter}", tmp_path / letter)
        os.utime(tmp_path / letter, (time.time() - 60, time.time() - 60))  # the same file as in the cache
    await cache.fetch(bucket, "uploads/a", tmp_path / "a again")
    await cache.fetch(bucket, "uploads/c", tmp_path / "c")
    await cache.fetch(bucket, "uploads/a", tmp_path / "a later")
    assert cache.fetched == 3
    await cache.fetch(bucket, "uploads/b", tmp_path / "b again")
    assert cache.fetched == 4


async def test_who_waited_for_a_fetch_that_failed_tries_too(bucket: ObjectStore, tmp_path: Path) -> None:
    cache = LocalCache(tmp_path / "cache", 10 * _MB)
    (tmp_path / "there").touch()
    asked = [cache.fetch(bucket, "uploads/a", tmp_path / name) for name in ("there", "free")]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends] == [FileExistsError, type(None)]
    with pytest.raises(ObjectNotFound):
        await cache.fetch(bucket, "uploads/none", tmp_path / "none")
    assert {path.name[0] for path in (tmp_path / "cache").iterdir()} != {"."}


async def test_large_objects_are_known_by_their_labels_while_they_are_here(bucket: ObjectStore, tmp_path: Path) -> None:
    cache, changes = LocalCache(tmp_path / "cache", 2 * _MB, large_bytes=_MB), []
    cache.on_change = lambda: changes.append(cache.large(9))
    for number, letter in enumerate("abac"):
        await cache.fetch(bucket, f"uploads/{letter}", tmp_path / str(number), f"film {letter}")
        for path in (tmp_path / "cache").iterdir():  # each use is a minute after the one before
            os.utime(path, (path.stat().st_mtime - 60, path.stat().st_mtime - 60))
    await cache.fetch(bucket, "uploads/c", tmp_path / "4", "film c")
    assert changes == [("film a",), ("film b", "film a"), ("film a", "film b"), ("film c", "film a")]
    assert cache.large(1) == ("film c",)
    smaller = LocalCache(tmp_path / "other", 2 * _MB, large_bytes=_MB + 1)
    await smaller.fetch(bucket, "uploads/a", tmp_path / "5", "film a")
    assert smaller.large(9) == ()


async def test_an_object_that_the_cache_cannot_hold_is_not_said_to_be_here(bucket: ObjectStore, tmp_path: Path) -> None:
    cache = LocalCache(tmp_path / "cache", _MB - 1)
    await cache.fetch(bucket, "uploads/a", tmp_path / "a", "film")
    assert cache.large(9) == ()
