"""Writes the audit, once there is a broker."""

import asyncio
import logging

from aiokafka.errors import KafkaError

from streams.kafka.producer import Producer
from web.auth.audit import Audit

log = logging.getLogger("kinolog.web")

_RECONNECT_S = 1.0


async def write_audit(audit: Audit, producer: Producer) -> None:
    """Connect the producer, then write the audit until cancelled."""
    try:
        while not await _connect(producer):
            await asyncio.sleep(_RECONNECT_S)
        await audit.run()
    finally:
        await producer.stop(1.0)


async def _connect(producer: Producer) -> bool:
    try:
        await producer.start()
    except (KafkaError, OSError) as error:
        log.warning("no broker yet", extra={"reason": str(error)})
        await producer.stop(1.0)
        return False
    return True
