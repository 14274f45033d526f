"""media.removals -> the store: files that nothing points at any more. A repeat is harmless.

Removing takes milliseconds, so an order is carried out before it is acknowledged: an executor that dies in the middle
leaves it to the next one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from processors.storage.errors import StoreError
from processors.storage.keys import InvalidKey
from processors.storage.object_store import ObjectStore
from schemas.base import ErrorRecord
from schemas.removals import RemoveArtifacts
from streams.kafka.dead_letters import dead_letter
from streams.kafka.envelope import Entry, read
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp

log = logging.getLogger(__name__)

#: Tries before an order becomes a dead letter: a store that is away for longer holds up nothing but removals.
_TRIES = 5
_PAUSE_S = 2.0

#: (topic, partition, key, value, headers): returns when the broker has it.
Deliver = Callable[[str, int, bytes | None, bytes, list[tuple[str, bytes]]], Awaitable[Any]]


def add_removals_agent(app: KinologApp, settings: Settings, store: ObjectStore, deliver: Deliver) -> None:
    """Add the agent to an executor's app; one lane does it."""
    topics = names(settings)
    source = app.topic(topics.removals, value_type=bytes, value_serializer="raw", key_serializer="raw")

    @app.agent(source, name="removals")
    async def remove_all(stream: Any) -> None:
        async for event in stream.noack().events():  # one that is cancelled would acknowledge
            for entry in read(event.message.value, event.message.headers or ()):
                problem = await _carry_out(store, entry)
                if problem is not None:
                    letter = dead_letter(event.message, event.message.value or b"", problem, "executor")
                    await deliver(topics.dead_letters, event.message.partition, *letter)
            event.ack()


async def _carry_out(store: ObjectStore, entry: Any) -> ErrorRecord | None:
    if not isinstance(entry, Entry) or not isinstance(entry.message, RemoveArtifacts):
        return ErrorRecord(code="unexpected-type", message="this is no order to remove anything")
    order = entry.message
    for left in reversed(range(_TRIES)):
        try:
            await remove(store, order)
        except InvalidKey as error:
            return ErrorRecord(code="invalid-message", message=str(error))
        except (StoreError, OSError) as error:
            if not left:
                return ErrorRecord(code="store-unavailable", message=f"files could not be removed: {error}")
            await asyncio.sleep(_PAUSE_S)
        except Exception as error:  # a bug of ours: raised in an agent, it would hold up all removals for ever
            log.exception("an order to remove files could not be carried out", extra={"asset_id": order.asset_id})
            return ErrorRecord(code="internal-error", message=repr(error))
        else:
            log.info("artifacts removed", extra={"asset_id": order.asset_id, "whole": order.whole_asset})
            return None
    return None


async def remove(store: ObjectStore, order: RemoveArtifacts) -> None:
    """Remove what the order names. Raises StoreError, InvalidKey."""
    for prefix in order.prefixes:
        await store.delete_prefix(prefix)
    if order.whole_asset:
        for folder, depth in ((f"assets/{order.asset_id}", 4), (f"uploads/{order.asset_id}", 3)):
            await _remove_older(store, folder, depth, order.deleted_at)


async def _remove_older(store: ObjectStore, folder: str, depth: int, before: float) -> None:
    """What lies below `folder`, in units of `depth` path parts: an attempt is removed whole or not at all."""
    newest: dict[str, float] = {}
    for stored in await store.list(folder):
        unit = "/".join(stored.key.split("/")[:depth])
        newest[unit] = max(stored.modified_at.timestamp(), newest.get(unit, 0.0))
    for unit, modified_at in newest.items():
        if modified_at <= before:
            await store.delete_prefix(unit)
