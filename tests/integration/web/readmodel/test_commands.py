"""Writes to the log: the first ones after a start are as quick as any."""

from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient

from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import serve

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module


async def test_the_first_submissions_after_a_start_wait_for_no_metadata(
    make: Make, control: ControlStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each topic that a producer had not asked for yet cost its first write 100 ms."""
    stock, waited = AIOKafkaClient.add_topic, list[str]()

    def add_topic(client: Any, topic: str) -> Any:
        if topic not in client._topics and client._client_id.startswith("kinolog-web"):
            waited.append(topic)
        return stock(client, topic)

    async with serve(make()) as site:
        await eventually(lambda: site.parts.audit.flowing, 60)
        monkeypatch.setattr(AIOKafkaClient, "add_topic", add_topic)
        for source in ({"object": "none"}, {"url": "http://media.example/a.mp4?X-Amz-Signature=secret"}):
            status, body = await site.ask("POST", "/v1/assets", json={"input": source, "pipeline": "noop"})
            assert status == 202, body
    assert waited == []
