"""Installations on a broker that tests share: each has topics, changelogs and groups of its own, by its prefix."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from processors.storage.object_store import open_store
from processors.storage.owner_mark import mark, owner
from streams.broker.process import Broker
from streams.kafka.admin_client import admin_client
from streams.kafka.installation import this_installation
from streams.settings import Settings

_NUMBERS = itertools.count(1)
_TIMEOUT_S = 30.0


class Installation(NamedTuple):
    """The names that are one test's, or one module's."""

    broker: Broker
    topic_prefix: str

    @property
    def bootstrap(self) -> str:
        """The broker's address."""
        return self.broker.bootstrap

    @property
    def environ(self) -> dict[str, str]:
        """Its settings of the log."""
        return {
            "KINOLOG_KAFKA__BOOTSTRAP": self.bootstrap,
            "KINOLOG_TOPIC_PREFIX": self.topic_prefix,
            "KINOLOG_REQUEST_PARTITIONS": "4",  # 64 by default: a shared broker would have thousands
        }


@asynccontextmanager
async def installation(broker: Broker) -> AsyncIterator[Installation]:
    """Another installation. Its topics are deleted at the end."""
    found = Installation(broker, f"t{next(_NUMBERS)}.")
    yield found
    async with asyncio.timeout(_TIMEOUT_S), admin_client(broker.cluster, _TIMEOUT_S) as admin:
        topics = [name for name in await admin.list_topics() if name.startswith(found.topic_prefix)]
        await admin.delete_topics(topics)


async def adopt(settings: Settings) -> None:
    """Mark a store that nobody has, as `kinolog store adopt` does: it is new, and the log has media."""
    store = open_store(settings.store_url)
    if await owner(store) is None:
        await mark(store, await this_installation(settings))
