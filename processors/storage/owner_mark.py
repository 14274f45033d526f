"""The owner mark of a store: the installation that may remove what it does not know.

Two installations with one store, because of a copied setting for instance, would remove each other's uploads: neither
has rows for them.
"""

from collections.abc import AsyncIterator

import msgspec

from processors.storage.errors import ObjectNotFound, StoreError
from processors.storage.keys import OWNER_KEY
from processors.storage.object_store import ObjectStore

_MAX_BYTES = 4096


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """An installation: a log, and its topics there."""

    cluster_id: str
    topic_prefix: str


class ForeignStore(StoreError):
    """The store belongs to another installation."""

    @classmethod
    def of(cls, other: Installation) -> "ForeignStore":
        """The error, with that installation and what to do."""
        return cls(
            f"The store belongs to the installation with the Kafka cluster {other.cluster_id} and the topics "
            f"{other.topic_prefix}*: nothing is removed. Set another KINOLOG_STORE__URL, or, if that installation no "
            f"longer exists ({OWNER_KEY}), run `kinolog store adopt`."
        )


async def owner(store: ObjectStore) -> Installation | None:
    """The installation to which the store belongs, if it is marked. Raises ForeignStore (damaged mark), StoreError."""
    try:
        size_bytes = (await store.head(OWNER_KEY)).size_bytes
        content = b"".join([chunk async for chunk in store.get(OWNER_KEY)]) if size_bytes <= _MAX_BYTES else b""
        return msgspec.json.decode(content, type=Installation)
    except ObjectNotFound:
        return None
    except msgspec.MsgspecError as error:
        text = f"{OWNER_KEY} in the store is damaged. If the store is this installation's, run `kinolog store adopt`."
        raise ForeignStore(text) from error


async def require_owner(store: ObjectStore, installation: Installation, *, has_media: bool = False) -> None:
    """Mark a store that belongs to nobody.

    Raises ForeignStore if it belongs to another installation, StoreAbsent if it is empty and the installation has
    media, StoreError.
    """
    current = await owner(store)
    if current is None:
        if has_media and await store.is_empty():
            await store.require_there()
        await mark(store, installation)
    elif current != installation:
        raise ForeignStore.of(current)


async def mark(store: ObjectStore, installation: Installation) -> None:
    """Make the store this installation's, whoever had it before. Raises StoreError."""

    async def content() -> AsyncIterator[bytes]:
        yield msgspec.json.encode(installation)

    await store.put(OWNER_KEY, content(), _MAX_BYTES)
