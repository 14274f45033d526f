"""A store with its owner mark, and what is there in its place: a volume that is not mounted, a wrong URL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from processors.storage.errors import ObjectNotFound, StoreAbsent
from processors.storage.keys import OWNER_KEY
from processors.storage.object_reader import Mark
from processors.storage.object_store import ObjectStore, open_store
from processors.storage.owner_mark import Installation, mark, require_owner

HERE = Installation(cluster_id="c", topic_prefix="media.")


async def one() -> AsyncIterator[bytes]:
    yield b"x"


async def absent(ask: Callable[[], Awaitable[Any]]) -> bool:
    """Whether the call fails because the store is not there."""
    try:
        await ask()
    except StoreAbsent:
        return True
    except ObjectNotFound:
        return False
    return False


async def read(store: ObjectStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.get(key)])


def reads(store: ObjectStore, to: Path) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda: store.head("assets/a/b"),
        lambda: read(store, "assets/a/b"),
        lambda: store.fetch("assets/a/b", to),
        lambda: store.copy("assets/a/b", "assets/a/c"),
        lambda: store.delete_prefix("assets/a/b"),
    ]


@pytest.mark.parametrize("url", ["folder", "memory:///"])
async def test_what_is_missing_without_the_mark_is_not_missing(url: str, tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri() if url == "folder" else url, mark="required")
    assert [await absent(ask) for ask in reads(store, tmp_path / "x")] == [True] * 5
    await mark(store, HERE)
    assert [await absent(ask) for ask in reads(store, tmp_path / "x")] == [False] * 5
    await store.require_there()


async def test_a_placeholder_takes_nothing(tmp_path: Path) -> None:
    """What was written there would be gone when the volume is mounted over it."""
    root, store = tmp_path / "store", open_store((tmp_path / "store").as_uri(), mark="required")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(b"x")
    writes: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.put("uploads/a/source", one(), 10),
        lambda: store.put_file(tmp_path / "file", "assets/a/b"),
        lambda: store.publish_tree(tmp_path / "tree", "assets/a/t"),
    ]
    assert [await absent(write) for write in writes] == [True] * 3
    assert not list(root.iterdir()) and (tmp_path / "file").exists() and (tmp_path / "tree" / "a").exists()
    await mark(store, HERE)
    assert [await absent(write) for write in writes] == [False] * 3


@pytest.mark.parametrize("known", ["required", "learned"])
async def test_a_folder_that_cannot_be_read_is_not_there(tmp_path: Path, known: Mark) -> None:
    """As on a share whose server is away; here its mark is a link to itself."""
    store = open_store(tmp_path.as_uri(), mark=known)
    (tmp_path / OWNER_KEY).symlink_to(tmp_path / OWNER_KEY)
    with pytest.raises(StoreAbsent, match=r"cannot be read.*symbolic links"):
        await store.require_there()
    with pytest.raises(StoreAbsent):
        await store.put("assets/a/b", one(), 10)


async def test_an_empty_store_is_marked_unless_there_must_be_media_in_it(tmp_path: Path) -> None:
    """An installation from before marks has media, in the store as well."""
    store = open_store((tmp_path / "store").as_uri(), mark="required")
    with pytest.raises(StoreAbsent, match="mounted"):
        await require_owner(store, HERE, has_media=True)
    assert not list((tmp_path / "store").iterdir())
    await open_store((tmp_path / "store").as_uri()).put("assets/a/b", one(), 10)
    await require_owner(store, HERE, has_media=True)
    await store.require_there()
    new = open_store((tmp_path / "new").as_uri(), mark="required")
    await require_owner(new, HERE, has_media=False)
    await new.require_there()
