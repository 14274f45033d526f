"""Writes the audit, once there is a broker."""

from streams.kafka.producer import Producer
from streams.kafka.retry import retry_forever
from web.auth.audit import Audit


async def write_audit(audit: Audit, producer: Producer) -> None:
    """Connect the producer, then write the audit until cancelled."""

    async def connect() -> None:
        try:
            await producer.start(audit.topic)
        except BaseException:
            await producer.stop(1.0)
            raise

    try:
        await retry_forever("audit", connect)
        await audit.run()
    finally:
        await producer.stop(1.0)
