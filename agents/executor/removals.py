"""media.removals -> deleted files in the store. A repeat is harmless.

A removal takes milliseconds, so it is done before it is acknowledged: if the executor dies in between, another one
repeats it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from processors.storage.errors import StoreAbsent, StoreError
from processors.storage.keys import InvalidKey
from processors.storage.object_store import ObjectStore
from schemas.base import ErrorRecord
from schemas.removals import RemoveArtifacts
from streams.kafka.dead_letters import dead_letter
from streams.kafka.envelope import Entry, read
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp

log = logging.getLogger(__name__)

#: Tries before a removal becomes a dead letter, so that an unavailable store delays only removals.
_TRIES = 5
_PAUSE_S = 2.0

#: (topic, partition, key, value, headers): returns when the broker has it.
Deliver = Callable[[str, int, bytes | None, bytes | None, list[tuple[str, bytes]]], Awaitable[Any]]


def add_removals_agent(app: KinologApp, settings: Settings, store: ObjectStore, deliver: Deliver) -> None:
    """Add the agent to an executor's app. Each lane has its own group and does every removal: a repeat is harmless."""
    topics = names(settings)
    source = app.topic(topics.removals, value_type=bytes, value_serializer="raw", key_serializer="raw")

    @app.agent(source, name="removals")
    async def remove_all(stream: Any) -> None:
        async for event in stream.noack().events():  # otherwise a cancelled one would acknowledge
            for entry in read(event.message.value, event.message.headers or ()):
                problem = await _remove_or_error(store, entry)
                if problem is None and isinstance(entry, Entry):
                    await _end_url(settings, deliver, entry.message)
                if problem is not None:
                    letter = dead_letter(event.message, event.message.value or b"", problem, "executor")
                    await deliver(topics.dead_letters, event.message.partition, *letter)
            event.ack()


async def _end_url(settings: Settings, deliver: Deliver, removal: Any) -> None:
    """Write the tombstone of a job's full URL."""
    if removal.source_url and removal.job_id is not None:
        partition = partition_of(removal.asset_id, settings.partitions)
        await deliver(names(settings).source_urls, partition, removal.job_id.encode(), None, [])


async def _remove_or_error(store: ObjectStore, entry: Any) -> ErrorRecord | None:
    if not isinstance(entry, Entry) or not isinstance(entry.message, RemoveArtifacts):
        return ErrorRecord(code="unexpected-type", message="this is not a removal")
    removal = entry.message
    for tries_left in reversed(range(_TRIES)):
        try:
            await _until_there(store)
            await remove(store, removal)
        except InvalidKey as error:
            return ErrorRecord(code="invalid-message", message=str(error))
        except (StoreError, OSError) as error:
            if not tries_left:
                return ErrorRecord(code="store-unavailable", message=f"files could not be removed: {error}")
            await asyncio.sleep(_PAUSE_S)
        except Exception as error:  # a bug: raised in an agent, it would block all removals
            log.exception("removal failed", extra={"asset_id": removal.asset_id})
            return ErrorRecord(code="internal-error", message=repr(error))
        else:
            log.info("artifacts removed", extra={"asset_id": removal.asset_id, "whole": removal.whole_asset})
            return None
    return None


async def _until_there(store: ObjectStore) -> None:
    """Wait, without a limit, until the store is there: its files would remain. Raises StoreError."""
    while True:
        try:
            return await store.require_there()
        except StoreAbsent:
            await asyncio.sleep(_PAUSE_S)


async def remove(store: ObjectStore, removal: RemoveArtifacts) -> None:
    """Delete the files that the removal names. Raises StoreError, InvalidKey."""
    for prefix in removal.prefixes:
        await store.delete_prefix(prefix)
    if removal.whole_asset:
        for folder, depth in ((f"assets/{removal.asset_id}", 4), (f"uploads/{removal.asset_id}", 3)):
            await _remove_older(store, folder, depth, removal.deleted_at)


async def _remove_older(store: ObjectStore, folder: str, depth: int, before: float) -> None:
    """Delete files below `folder` in units of `depth` path parts: an attempt is removed whole or not at all."""
    newest: dict[str, float] = {}
    for stored in await store.list(folder):
        unit = "/".join(stored.key.split("/")[:depth])
        newest[unit] = max(stored.modified_at.timestamp(), newest.get(unit, 0.0))
    for unit, modified_at in newest.items():
        if modified_at <= before:
            await store.delete_prefix(unit)
