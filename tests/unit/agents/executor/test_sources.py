"""Where the source may be, and where it may not."""

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.executor.sources import Sources
from processors.errors import SourceMissing, SourceUnavailable
from processors.storage.local_store import LocalStore
from processors.storage.object_reader import Mark
from processors.storage.object_store import open_store
from processors.storage.owner_mark import Installation, mark
from schemas.jobs import Input


async def one(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


async def test_an_object_of_a_local_store_is_read_in_place(store: LocalStore, tmp_path: Path) -> None:
    await store.put("uploads/a", one(b"x"), max_bytes=1)
    found = await Sources(store, ()).resolve(Input(object="uploads/a"), tmp_path)
    assert found == store.local_path("uploads/a")


async def test_an_object_of_a_bucket_is_fetched(tmp_path: Path) -> None:
    bucket = open_store("memory:///")
    await bucket.put("uploads/a", one(b"x"), max_bytes=1)
    found = await Sources(bucket, ()).resolve(Input(object="uploads/a"), tmp_path)
    assert (found.parent, found.read_bytes()) == (tmp_path, b"x")


@pytest.mark.parametrize("key", ["uploads/none", "../secret", "/etc/hostname", "uploads", ""])
@pytest.mark.parametrize("url", ["folder", "memory:///"])
async def test_an_object_that_is_not_there_is_missing(key: str, url: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    store = open_store((tmp_path / "store").as_uri() if url == "folder" else url)
    await store.put("uploads/a", one(b"x"), max_bytes=1)
    with pytest.raises(SourceMissing):
        await Sources(store, ()).resolve(Input(object=key), tmp_path)


@pytest.mark.parametrize("known", ["required", "learned"])
@pytest.mark.parametrize("url", ["folder", "memory:///"])
async def test_no_source_is_missing_while_the_store_itself_is(url: str, known: Mark, tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri() if url == "folder" else url, mark=known)
    with pytest.raises(SourceUnavailable):
        await Sources(store, ()).resolve(Input(object="uploads/a"), tmp_path)
    await mark(store, Installation(cluster_id="c", topic_prefix="media."))
    with pytest.raises(SourceMissing):
        await Sources(store, ()).resolve(Input(object="uploads/a"), tmp_path)


async def test_a_link_in_the_store_does_not_lead_out_of_it(store: LocalStore, tmp_path: Path) -> None:
    (store.root / "link").symlink_to("/etc/hostname")
    with pytest.raises(SourceMissing):
        await Sources(store, ()).resolve(Input(object="link"), tmp_path)


async def test_a_path_is_read_below_a_root_only(store: LocalStore, tmp_path: Path) -> None:
    root = tmp_path / "media"
    root.mkdir()
    (root / "in.mp4").write_text("x")
    (tmp_path / "out.mp4").write_text("x")
    (root / "link.mp4").symlink_to(tmp_path / "out.mp4")
    sources = Sources(store, (root,))
    assert await sources.resolve(Input(path=str(root / "in.mp4")), tmp_path) == (root / "in.mp4").resolve()
    for path in (tmp_path / "out.mp4", root / ".." / "out.mp4", root / "link.mp4", root, root / "none", Path("a\x00b")):
        with pytest.raises(SourceMissing):
            await sources.resolve(Input(path=str(path)), tmp_path)


async def test_no_file_is_missing_below_a_folder_that_is_empty_or_gone(store: LocalStore, tmp_path: Path) -> None:
    """The share of some executor is not mounted: others have it."""
    roots = empty, gone, used = tmp_path / "empty", tmp_path / "gone", tmp_path / "used"
    empty.mkdir()
    used.mkdir()
    (used / "other.mp4").write_text("x")
    sources = Sources(store, roots)
    for root in (empty, gone):
        with pytest.raises(SourceUnavailable, match="not mounted"):
            await sources.resolve(Input(path=str(root / "in.mp4")), tmp_path)
    for path in (used / "in.mp4", empty / ".." / "none.mp4", tmp_path / "none.mp4"):
        with pytest.raises(SourceMissing):
            await sources.resolve(Input(path=str(path)), tmp_path)


@pytest.mark.parametrize("reason", [errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EACCES, errno.ETIMEDOUT])
async def test_a_share_whose_server_is_away_has_lost_nothing(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    resolve = Path.resolve

    def away(path: Path, strict: bool = False) -> Path:
        if strict:
            raise OSError(reason, os.strerror(reason))
        return resolve(path)

    sources = Sources(store, (tmp_path,))
    (tmp_path / "in.mp4").write_text("x")
    monkeypatch.setattr(Path, "resolve", away)
    for source in (Input(path=str(tmp_path / "in.mp4")), Input(object="uploads/a")):
        with pytest.raises(SourceUnavailable) as raised:
            await sources.resolve(source, tmp_path)
        assert os.strerror(reason) in (raised.value.detail or "")


async def test_an_address_is_no_source_here(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        await Sources(store, ()).resolve(Input(url="http://example.org/a.mp4"), tmp_path)
