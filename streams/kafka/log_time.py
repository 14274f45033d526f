"""The broker's time, by the timestamp of a small record that is written for it."""

import asyncio

from schemas.clock import ClockProbed
from streams.ids import new_id
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.settings import Settings

#: Seconds that a delivery may take.
_DELIVERY_S = 30.0
_STOP_S = 1.0


async def log_time(settings: Settings, writer: str) -> float:
    """Seconds since the epoch. Raises KafkaError, TimeoutError."""
    topic, producer = names(settings).progress, Producer(settings, writer)
    probe = structured(
        ClockProbed(replica=writer), event_id=new_id("probe"), source=f"kinolog/{writer}", subject=writer
    )
    try:
        async with asyncio.timeout(_DELIVERY_S):
            await producer.start(topic)
            delivered = await (await producer.send(topic, 0, None, batch([probe]), list(BATCH_HEADERS)))
    finally:
        await producer.stop(_STOP_S)
    return float(delivered.timestamp) / 1000
