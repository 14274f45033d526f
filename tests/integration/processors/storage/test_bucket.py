"""The store on a bucket that answers 500, 503, late and half: whole or not at all, and nothing left behind."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from processors.storage.bucket_store import BucketStore
from processors.storage.errors import ObjectNotFound, StoreError
from processors.storage.keys import IMMUTABLE
from processors.storage.object_store import open_store
from processors.storage.read_cache import LocalCache
from tests.bucket import BUCKET, Faults, environ, faulty, leaked_uploads, make_bucket, moto
from tests.conftest import eventually

BIG = os.urandom(1024) * 20 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
async def faults(server: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Faults]:
    await make_bucket(server)
    async with faulty(server, cut=2) as (endpoint, found):
        for name, value in environ(endpoint).items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def store(faults: Faults) -> BucketStore:
    return BucketStore(f"s3://{BUCKET}/below")


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 300_000):
        yield content[start : start + 300_000]


async def broken(content: bytes) -> AsyncIterator[bytes]:
    async for piece in pieces(content):
        yield piece
    raise ConnectionResetError("the client went away")


async def test_everything_comes_back_as_it_went_in_whatever_the_bucket_does(
    store: BucketStore, faults: Faults, server: str, tmp_path: Path
) -> None:
    stored = await store.put("uploads/big", pieces(BIG), len(BIG))
    assert stored.size_bytes == len(BIG)
    for turn in range(3):
        await store.fetch("uploads/big", tmp_path / "big")
        assert (tmp_path / "big").read_bytes() == BIG
        (tmp_path / "tree").mkdir()
        for n in range(12):
            (tmp_path / "tree" / f"{n}.m4s").write_bytes(BIG[: 10_000 + n])
        await store.publish_tree(tmp_path / "tree", f"assets/a/t/{turn}")
        assert [entry.size_bytes for entry in await store.list(f"assets/a/t/{turn}")].count(10_003) == 1
        await store.copy("uploads/big", f"assets/a/copy-{turn}")
        for path in (tmp_path / "tree").iterdir():
            path.unlink()
        (tmp_path / "tree").rmdir()
    assert (await store.head("assets/a/copy-2")).size_bytes == len(BIG)
    await store.delete_prefix("assets/a")
    assert await store.list("assets") == []
    assert {"broken", "slow_down", "slow", "cut"} <= faults.injected.keys()
    assert await leaked_uploads(server) == 0


async def test_an_upload_that_breaks_leaves_neither_an_object_nor_parts(store: BucketStore, server: str) -> None:
    with pytest.raises(ConnectionResetError):
        await store.put("uploads/broken", broken(BIG), len(BIG))
    with pytest.raises(ObjectNotFound):
        await store.head("uploads/broken")
    assert await leaked_uploads(server) == 0


async def test_parts_that_a_killed_process_left_are_found_and_forgotten(
    store: BucketStore, faults: Faults, server: str, tmp_path: Path
) -> None:
    for name in ("assets/a/download/1-lease/media.mp4", "uploads/a b+c/source"):
        await _killed_while_it_uploads(f"s3://{BUCKET}/below", name, faults)
    await _killed_while_it_uploads(f"s3://{BUCKET}/below", "of others/media.mp4", faults)
    assert await leaked_uploads(server) == 3
    assert await store.multipart_uploads(10**9, time.time()) == []
    found = await store.multipart_uploads(0.0, time.time())
    assert found is not None
    assert {one.key for one in found} == {"assets/a/download/1-lease/media.mp4", "uploads/a b+c/source"}
    for _ in range(2):  # a repeat is harmless
        await store.abort(found)
    assert await store.multipart_uploads(0.0, time.time()) == []
    assert await leaked_uploads(server) == 1


async def _killed_while_it_uploads(url: str, key: str, faults: Faults) -> None:
    """SIGKILL in the middle of a multipart upload, after the bucket has a part of it."""
    code = f"""if True:
    import asyncio
    from processors.storage.object_store import open_store
    async def for_ever():
        while True:
            yield bytes(1024**2)
            await asyncio.sleep(0)
    asyncio.run(open_store({url!r}).put({key!r}, for_ever(), 10**12))
    """
    before = faults.asked["PUT"]
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        await eventually(lambda: faults.asked["PUT"] > before + 1)
    finally:
        process.kill()
        process.wait()


async def test_a_presigned_address_reads_and_writes_one_object(store: BucketStore, faults: Faults) -> None:
    faults.every = dict.fromkeys(faults.every, 0)
    async with aiohttp.ClientSession() as session:
        async with session.put(await store.presigned("PUT", "uploads/direct", 60), data=b"media") as answer:
            assert answer.status == 200
        async with session.get(await store.presigned("GET", "uploads/direct", 60)) as answer:
            assert await answer.read() == b"media"
        await store.put("assets/a/x.m4s", pieces(b"segment"), 100)
        async with session.get(await store.presigned("GET", "assets/a/x.m4s", 60)) as answer:
            assert answer.headers["Content-Type"] == "video/iso.segment"
            assert answer.headers["Cache-Control"] == IMMUTABLE


async def test_a_bucket_that_is_away_is_said_to_be_and_not_to_be_empty(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError) as caught:
        await open_store(f"s3://{BUCKET}", retry_s=1.0).head("a")
    assert not isinstance(caught.value, ObjectNotFound)


async def test_inputs_are_fetched_once_and_the_oldest_make_room(
    store: BucketStore, faults: Faults, tmp_path: Path
) -> None:
    cache = LocalCache(tmp_path / "cache", 2_500_000)
    for name in ("a", "b", "c"):
        await store.put(f"uploads/{name}", pieces(BIG[:1_000_000] + name.encode()), 10**7)
    for turn, name in enumerate(("a", "a", "b", "a", "c")):
        await cache.fetch(store, f"uploads/{name}", tmp_path / f"{turn}")
        assert (tmp_path / f"{turn}").read_bytes() == BIG[:1_000_000] + name.encode()
    assert cache.fetched == 3
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 2_500_000
    await cache.fetch(store, "uploads/a", tmp_path / "again")
    assert cache.fetched == 3  # b, not a, has made room for c
    await store.put("uploads/a", pieces(b"other"), 10**7)
    await cache.fetch(store, "uploads/a", tmp_path / "changed")
    assert (tmp_path / "changed").read_bytes() == b"other"


async def test_a_bucket_that_does_not_exist_is_no_missing_file(faults: Faults, tmp_path: Path) -> None:
    """A wrong setting, or a bucket that was removed: jobs wait for it, their sources are not blamed."""
    absent = BucketStore("s3://absent")
    (tmp_path / "a").write_bytes(b"a")
    asks: list[Callable[[], Awaitable[Any]]] = [
        lambda: absent.head("assets/a"),
        lambda: absent.fetch("assets/a", tmp_path / "fetched"),
        lambda: absent.put("assets/a", pieces(b"a"), 10),
        lambda: absent.put_file(tmp_path / "a", "assets/a"),
        lambda: absent.copy("assets/a", "assets/b"),
    ]
    for ask in asks:
        with pytest.raises(StoreError, match="NoSuchBucket") as raised:
            await ask()
        assert not isinstance(raised.value, ObjectNotFound)
    with pytest.raises(ObjectNotFound):
        await BucketStore(f"s3://{BUCKET}").head("assets/a")
