"""The store on a real local folder; a bucket's road is taken with a store in memory."""

import asyncio
import errno
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processors.storage.bucket_store import BucketStore
from processors.storage.errors import ObjectNotFound, ObjectTooLarge, StoreError
from processors.storage.keys import InvalidKey, checked_key, content_type
from processors.storage.local_files import DISK_FULL, STAGING, UnexpectedFile
from processors.storage.local_store import LocalStore
from processors.storage.object_store import ObjectStore, open_store
from tests import disk_events


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def broken(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    raise ConnectionResetError("the client went away")


def everything_below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.name != STAGING}


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return open_store((tmp_path / "store").as_uri() if request.param == "folder" else "memory:///")


@pytest.fixture
def folder_store(tmp_path: Path) -> LocalStore:
    store = open_store((tmp_path / "the store").as_uri())
    assert isinstance(store, LocalStore)
    return store


async def read(store: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.get(key, start, end)])


async def test_a_stream_comes_back_as_it_went_in(store: ObjectStore) -> None:
    stored = await store.put("uploads/a.mp4", chunks(b"ab", b"cd"), max_bytes=4)
    assert (stored.key, stored.size_bytes) == ("uploads/a.mp4", 4)
    assert await read(store, "uploads/a.mp4") == b"abcd"
    assert (await store.head("uploads/a.mp4")).etag == stored.etag != ""


@pytest.mark.parametrize("start, end, expected", [(0, 1, b"a"), (1, 3, b"bc"), (2, None, b"cd"), (3, 99, b"d")])
async def test_a_range_is_served(store: ObjectStore, start: int, end: int | None, expected: bytes) -> None:
    await store.put("x", chunks(b"abcd"), max_bytes=4)
    assert await read(store, "x", start, end) == expected


async def test_a_missing_object_is_said_to_be_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFound):
        await store.head("assets/none")
    with pytest.raises(ObjectNotFound):
        await read(store, "assets/none")


async def test_a_stream_beyond_its_limit_is_refused_and_leaves_nothing(store: ObjectStore) -> None:
    with pytest.raises(ObjectTooLarge):
        await store.put("a/b/c", chunks(b"12", b"34"), max_bytes=3)
    assert await store.list("a") == []


async def test_a_broken_stream_leaves_nothing(store: ObjectStore) -> None:
    with pytest.raises(ConnectionResetError):
        await store.put("a/b/c", broken(b"12" * 5_000_000), max_bytes=10**9)
    assert await store.list("a") == []


async def test_a_broken_stream_leaves_no_folder_and_no_temporary_file(folder_store: LocalStore) -> None:
    with pytest.raises(ConnectionResetError):
        await folder_store.put("a/b/c", broken(b"12"), max_bytes=10)
    assert everything_below(folder_store.root) == set()


async def test_a_cancelled_stream_leaves_nothing(folder_store: LocalStore) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        begun.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(folder_store.put("a/b", endless(), max_bytes=10**9))
    await begun.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert everything_below(folder_store.root) == set()


async def test_a_stored_file_is_whole_after_a_power_cut(
    folder_store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = disk_events.record(monkeypatch)
    await folder_store.put("uploads/a/source", chunks(b"abc"), 10)
    (tmp_path / "made").write_bytes(b"def")
    await folder_store.put_file(tmp_path / "made", "uploads/b/source")
    for key in ("uploads/a/source", "uploads/b/source"):
        path = folder_store.local_path(key)
        assert events.synced_before_renamed(path)
        for folder in (path.parent, path.parent.parent, folder_store.root):
            assert events.synced_after_renamed(path, folder)


async def test_a_tree_is_published_with_its_folders(store: ObjectStore, tmp_path: Path) -> None:
    out = tree(tmp_path / "out", poster_dot_jpg="p", hls__v0__init_dot_mp4="i")
    await store.publish_tree(out, "assets/a/s/1-l")
    assert [s.key for s in await store.list("assets/a")] == [
        "assets/a/s/1-l/hls/v0/init.mp4",
        "assets/a/s/1-l/poster.jpg",
    ]
    assert await read(store, "assets/a/s/1-l/poster.jpg") == b"p"


async def test_a_tree_published_twice_is_there_once(store: ObjectStore, tmp_path: Path) -> None:
    await store.publish_tree(tree(tmp_path / "one", a="1"), "assets/a")
    await store.publish_tree(tree(tmp_path / "two", a="2"), "assets/a")
    assert await read(store, "assets/a/a") == b"2"


async def test_a_published_file_can_be_read_by_others(folder_store: LocalStore, tmp_path: Path) -> None:
    out = tree(tmp_path / "out", sub__x="1")
    (out / "sub" / "x").chmod(0o600)
    (out / "sub").chmod(0o700)
    await folder_store.publish_tree(out, "assets/a")
    path = folder_store.local_path("assets/a/sub/x")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o644, 0o755)


@pytest.fixture
def far_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Folders that are published come from another file system than the store's."""
    rename = Path.rename

    def far(path: Path, target: Path) -> Path:
        if STAGING not in path.parts:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", far)
    return monkeypatch


async def test_a_tree_from_another_disk_is_published_whole(
    folder_store: LocalStore, tmp_path: Path, far_disk: pytest.MonkeyPatch
) -> None:
    await folder_store.publish_tree(tree(tmp_path / "out", a="1", **{"hls/b": "2"}), "assets/x")
    assert await read(folder_store, "assets/x/hls/b") == b"2"
    assert oct(folder_store.local_path("assets/x/a").stat().st_mode)[-3:] == "644"


async def test_a_disk_that_is_full_says_so_and_keeps_nothing(
    folder_store: LocalStore, tmp_path: Path, far_disk: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    far_disk.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left") as caught:
        await folder_store.publish_tree(tree(tmp_path / "out", a="1"), "assets/x")
    assert caught.value.errno in DISK_FULL
    assert not [path for path in folder_store.root.rglob("*") if path.is_file()]


async def test_a_link_is_never_published(store: ObjectStore, tmp_path: Path) -> None:
    out = tree(tmp_path / "out", a="1")
    (out / "b").symlink_to("/etc/hostname")
    with pytest.raises(UnexpectedFile):
        await store.publish_tree(out, "assets/a")
    assert await store.list("assets/a") == []


async def test_deleting_takes_everything_below_and_nothing_beside(store: ObjectStore) -> None:
    for key in ("assets/a/1", "assets/a/b/2", "assets/ab/3"):
        await store.put(key, chunks(b"x"), max_bytes=1)
    await store.delete_prefix("assets/a")
    await store.delete_prefix("assets/a")
    assert [s.key for s in await store.list("assets")] == ["assets/ab/3"]


async def test_deleting_the_last_object_leaves_no_folder(folder_store: LocalStore) -> None:
    await folder_store.put("assets/a/b/c", chunks(b"x"), max_bytes=1)
    await folder_store.delete_prefix("assets/a/b/c")
    assert everything_below(folder_store.root) == set()


async def test_an_object_can_be_fetched_to_a_file(store: ObjectStore, tmp_path: Path) -> None:
    await store.put("x", chunks(b"abc"), max_bytes=3)
    await store.fetch("x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abc"


async def test_what_a_killed_process_left_is_swept_and_a_living_upload_is_not(folder_store: LocalStore) -> None:
    staging = folder_store.root / STAGING
    tree(staging, old__file="1", young="2")
    long_ago = time.time() - 7200
    os.utime(staging / "old", (long_ago, long_ago))
    assert await folder_store.sweep(time.time(), older_than_s=3600) == 1
    assert [p.name for p in staging.iterdir()] == ["young"]


async def test_a_tool_reads_a_local_object_in_place(folder_store: LocalStore) -> None:
    await folder_store.put("uploads/My film é #1 100%.mp4", chunks(b"x"), max_bytes=1)
    path = folder_store.local_path("uploads/My film é #1 100%.mp4")
    assert path.read_bytes() == await read(folder_store, "uploads/My film é #1 100%.mp4")


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".staging/x", "a\\b", "a\x00", "x" * 2000]
)
async def test_a_key_cannot_leave_the_store(store: ObjectStore, key: str) -> None:
    with pytest.raises(InvalidKey):
        checked_key(key)
    with pytest.raises(InvalidKey):
        await store.head(key)
    with pytest.raises(InvalidKey):
        await store.put(key, chunks(b"x"), max_bytes=1)


def test_content_types_are_what_players_expect() -> None:
    assert content_type("hls/master.m3u8") == "application/vnd.apple.mpegurl"
    assert content_type("a/B.JPG") == "image/jpeg"
    assert content_type("source") == "application/octet-stream"


async def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    store = open_store((tmp_path / "s").as_uri())
    await store.put("a", chunks(b"x"), max_bytes=1)
    with pytest.raises((StoreError, OSError)):
        await store.put("a/b", chunks(b"x"), max_bytes=1)


@pytest.mark.parametrize(
    "variables, public_endpoint, origin",
    [
        ({}, None, "https://s3.eu-west-1.amazonaws.com"),
        ({"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}, None, "https://films.s3.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, None, "http://minio:9000"),
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, "https://media.example.org/", "https://media.example.org"),
        ({}, "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
    ],
)
async def test_a_buckets_origin_is_the_one_that_its_presigned_addresses_have(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], public_endpoint: str | None, origin: str
) -> None:
    account = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    for name, value in (account | variables).items():
        monkeypatch.setenv(name, value)
    bucket = BucketStore("s3://films/below", public_endpoint=public_endpoint)
    assert await bucket.origin() == origin
    assert (await bucket.presigned("PUT", "direct/a.mp4", 60)).startswith(f"{origin}/")
