"""What cannot be understood goes to `media.dead-letters`, entry by entry, and never stops its neighbours."""

import base64
from typing import NamedTuple

from schemas.base import ErrorRecord
from schemas.facts import DeadLetter
from streams.envelope import binary
from streams.partition import partition_of

#: Bytes of an entry that are kept.
KEPT_BYTES = 64 * 1024
#: Bytes of its key that are kept.
_KEY_BYTES = 1024


class Place(NamedTuple):
    """Where an entry was found."""

    topic: str
    partition: int
    offset: int
    #: 0-based, within the record.
    entry: int
    #: Kafka key of the record.
    key: bytes | None


class Letter(NamedTuple):
    """A record for `media.dead-letters`."""

    partition: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def letter(place: Place, raw: bytes, error: ErrorRecord, *, found_by: str, partitions: int) -> Letter:
    """The record that keeps `raw`. Its id depends on the place only: a repeat, or another finder, gives the same one."""
    key = f"{place.topic}/{place.partition}".encode() if place.key is None else place.key[:_KEY_BYTES]
    text = key.decode(errors="replace")
    message = DeadLetter(
        topic=place.topic,
        partition=place.partition,
        offset=place.offset,
        found_by=found_by,
        error=error,
        value_base64=base64.b64encode(raw[:KEPT_BYTES]).decode(),
        message_key=None if place.key is None else text,
    )
    value, headers = binary(
        message,
        event_id=f"{place.topic}/{place.partition}/{place.offset}/{place.entry}",
        source=f"kinolog/{found_by}",
        subject=text,
    )
    return Letter(partition_of(text, partitions), key, value, headers)
