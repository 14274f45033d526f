"""Records of `media.events`, as a consumer returns them."""

from typing import Any, NamedTuple

from schemas.base import Message
from streams.kafka.envelope import binary
from tables.effects import event_id


class LogRecord(NamedTuple):
    """What the index uses of a consumer's record."""

    partition: int
    offset: int
    #: ms since the epoch.
    timestamp: int
    value: bytes
    headers: list[tuple[str, bytes]]


def log_record(message: Message, offset: int, at: float = 1.0, partition: int = 0) -> LogRecord:
    """The record of an event."""
    job_id = getattr(message, "job_id", None)
    ids: dict[str, Any] = {"event_id": event_id(message), "source": "test", "subject": "s"}
    value, headers = binary(message, **ids, correlation_id=job_id)
    return LogRecord(partition, offset, round(at * 1000), value, headers)


def of_job(job_id: str, offset: int, at: float = 1.0, partition: int = 0) -> LogRecord:
    """A record that has the job's id, and an event of no known type."""
    headers = [("ce_correlationid", job_id.encode()), ("ce_type", b"test.unknown.v1")]
    return LogRecord(partition, offset, round(at * 1000), b"{}", headers)
