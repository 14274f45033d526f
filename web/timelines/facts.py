"""Events of `media.events` as read from the log."""

from typing import Any, NamedTuple

from schemas.base import Message
from streams.kafka.envelope import Entry, read


class Fact(NamedTuple):
    """One event, as recorded on the log."""

    #: Id of the event; a repeat has the same.
    id: str
    #: Time of the record, seconds since the epoch.
    at: float
    type: str
    message: Message


def facts_of(record: Any) -> list[Fact]:
    """The events of a record; what cannot be read is left out."""
    at = record.timestamp / 1000
    entries = read(record.value, record.headers)
    return [Fact(entry.event.id, at, entry.event.type, entry.message) for entry in entries if isinstance(entry, Entry)]
