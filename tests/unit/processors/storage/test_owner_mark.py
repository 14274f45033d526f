"""The owner mark: a store belongs to the first installation that cleans up in it, until its mark is deleted."""

from pathlib import Path

import pytest

from processors.storage.errors import StoreError
from processors.storage.keys import OWNER_KEY
from processors.storage.local_store import LocalStore
from processors.storage.object_reader import StoredObject
from processors.storage.object_store import ObjectStore, open_store
from processors.storage.owner_mark import ForeignStore, Installation, mark, owner, require_owner

OURS = Installation(cluster_id="c1", topic_prefix="media.")
STAGING = Installation(cluster_id="c1", topic_prefix="staging.")
LAPTOP = Installation(cluster_id="c2", topic_prefix="media.")


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return open_store((tmp_path / "store").as_uri() if request.param == "folder" else "memory:///")


async def test_the_first_one_has_it_and_nobody_else(store: ObjectStore) -> None:
    assert await owner(store) is None
    for _ in range(2):
        await require_owner(store, OURS)
    for other in (STAGING, LAPTOP):
        with pytest.raises(ForeignStore, match=rf"c1 and the topics media\.\*.*{OWNER_KEY}"):
            await require_owner(store, other)
    assert await owner(store) == OURS


async def test_another_one_takes_it_over_once_the_mark_is_deleted_or_at_a_restore(store: ObjectStore) -> None:
    await require_owner(store, OURS)
    await store.delete_prefix(OWNER_KEY)
    await require_owner(store, LAPTOP)
    await mark(store, STAGING)
    await require_owner(store, STAGING)


@pytest.mark.parametrize("content", [b"", b"{", b'{"cluster_id": 1}', b"\xff" * 10_000])
async def test_with_a_damaged_mark_it_belongs_to_nobody_who_can_be_told(tmp_path: Path, content: bytes) -> None:
    store = open_store(tmp_path.as_uri())
    (tmp_path / OWNER_KEY).write_bytes(content)
    with pytest.raises(ForeignStore, match="damaged"):
        await require_owner(store, OURS)
    assert (tmp_path / OWNER_KEY).read_bytes() == content


async def test_a_store_that_cannot_be_read_is_not_taken_for_an_unmarked_one(tmp_path: Path) -> None:
    class Forbidden(LocalStore):
        async def head(self, key: str) -> StoredObject:
            raise StoreError("you may not read this")

    with pytest.raises(StoreError, match="may not read"):
        await require_owner(Forbidden(tmp_path), OURS)
    assert not (tmp_path / OWNER_KEY).exists()
