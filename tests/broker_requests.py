"""Counts of the requests that the consumers of this process send to the broker."""

from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

from streams.worker import patch_fetch_wait


class Requests:
    """Counts of one test; its fetches wait as those of kinolog's processes do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        #: Clients with a fetch under way.
        self._fetching: set[int] = set()
        #: Offset lookups that were sent behind a fetch: the broker answers them after it.
        self.lookups_behind_a_fetch = 0
        #: Fetches that were answered without a record.
        self.empty_fetches = 0
        self.longest_wait_ms = 0
        self.fetched_bytes = 0
        self._stock = AIOKafkaClient.send
        monkeypatch.setattr(Fetcher, "_fetch_max_wait_ms", None, raising=False)  # put back afterwards
        patch_fetch_wait.install()
        requests = self

        async def send(client: Any, node_id: Any, request: Any, **options: Any) -> Any:
            return await requests._send(client, node_id, request, options)

        monkeypatch.setattr(AIOKafkaClient, "send", send)

    async def _send(self, client: Any, node_id: Any, request: Any, options: dict[str, Any]) -> Any:
        if isinstance(request, FetchRequest):
            return await self._fetch(client, node_id, request, options)
        self.lookups_behind_a_fetch += isinstance(request, OffsetRequest) and id(client) in self._fetching
        return await self._stock(client, node_id, request, **options)

    async def _fetch(self, client: Any, node_id: Any, request: Any, options: dict[str, Any]) -> Any:
        self.longest_wait_ms = max(self.longest_wait_ms, request._max_wait_ms)
        self._fetching.add(id(client))
        try:
            found = await self._stock(client, node_id, request, **options)
        finally:
            self._fetching.discard(id(client))
        fetched_bytes = sum(len(part[-1] or b"") for _, parts in found.topics for part in parts)
        self.fetched_bytes += fetched_bytes
        self.empty_fetches += not fetched_bytes
        return found


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """Counted from now on."""
    return Requests(monkeypatch)
