"""Encoding and decoding of CloudEvents in records: batches on internal topics, binary mode on public ones.

Source: CloudEvents Kafka protocol binding 1.0.2 (binary, structured, batched content modes).
"""

import base64
import re
import time as clock
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from schemas.base import Message
from schemas.envelope import CloudEvent
from schemas.registry import message_types

BATCH_TYPE = b"application/cloudevents-batch+json"
STRUCTURED_TYPE = b"application/cloudevents+json"
JSON_TYPE = b"application/json"
BATCH_HEADERS: list[tuple[str, bytes]] = [("content-type", BATCH_TYPE)]
#: Common prefix of structured and batched mode. Source: CloudEvents Kafka binding 1.0.2, section 3.
_FORMAT_PREFIX = b"application/cloudevents"
#: The only header of a placeholder of an unparsable record (streams/kafka/record_parsing.py); its value is the reason.
UNPARSABLE_HEADER = "kinolog-unparsable"

#: Maximum nesting of a message. JSON that can just be read may be too deep to be encoded from a deeper stack.
MAX_DEPTH = 100

#: Kafka headers; the value may be missing.
Headers = Sequence[tuple[str, bytes | None]]

#: Errors of decoding invalid bytes; the last one on thousands of brackets.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)

_encode = msgspec.json.Encoder().encode
_batch_decoder = msgspec.json.Decoder(list[CloudEvent])
_entries_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_event_decoder = msgspec.json.Decoder(CloudEvent)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Entry(NamedTuple):
    """A decoded message of a record."""

    event: CloudEvent
    message: Message

    @property
    def content(self) -> bytes:
        """The bytes of the message, for a dead letter."""
        return bytes(self.event.data)


class Unreadable(NamedTuple):
    """An entry of a record that cannot be decoded, with error code and reason."""

    raw: bytes
    code: str
    reason: str

    @property
    def content(self) -> bytes:
        """The bytes of the message, for a dead letter."""
        return self.raw


class MessageDecoders(dict[str, msgspec.json.Decoder[Message]]):
    """JSON decoders by message type, created on first use."""

    def __missing__(self, name: str) -> msgspec.json.Decoder[Message]:
        decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(message_types()[name])
        self[name] = decoder
        return decoder


_decoders = MessageDecoders()


def iso_time(at: float | None = None) -> str:
    """ISO 8601 in UTC with milliseconds; now, when `at` (seconds since the epoch) is not given."""
    return _iso(int((clock.time() if at is None else at) * 1000))


@lru_cache(maxsize=16)
def _iso(at_ms: int) -> str:
    """Cached: a busy process sends dozens of messages per millisecond."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def structured(
    message: Message,
    *,
    event_id: str,
    source: str,
    subject: str,
    at: float | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
) -> bytes:
    """One CloudEvent in structured mode: an element of a batch, or a record of its own."""
    return _encode(
        CloudEvent(
            specversion="1.0",
            id=event_id,
            source=source,
            type=message.TYPE,
            subject=subject,
            time=iso_time(at),
            correlationid=correlation_id,
            causationid=causation_id,
            data=message,  # type: ignore[arg-type]  # encoded in place: the bytes are the same
        )
    )


def batch(events: Iterable[bytes]) -> bytes:
    """A record's value out of structured events; send it with `BATCH_HEADERS`."""
    return b"[" + b",".join(events) + b"]"


def binary(
    message: Message,
    *,
    event_id: str,
    source: str,
    subject: str,
    at: float | None = None,
    correlation_id: str | None = None,
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of one event in binary mode."""
    headers = [
        *_common_headers(message.TYPE, source),
        ("ce_id", event_id.encode()),
        ("ce_subject", subject.encode()),
        _time_header(clock.time() if at is None else at),
    ]
    if correlation_id is not None:
        headers.append(("ce_correlationid", correlation_id.encode()))
    return _encode(message), headers


@lru_cache(maxsize=16)
def _time_header(at: float) -> tuple[str, bytes]:
    """Cached: all facts that follow from one record have its time."""
    return "ce_time", iso_time(at).encode()


@lru_cache
def _common_headers(message_type: str, source: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("content-type", JSON_TYPE),
        ("ce_specversion", b"1.0"),
        ("ce_source", source.encode()),
        ("ce_type", message_type.encode()),
    )


def read(value: bytes | None, headers: Headers = ()) -> list[Entry | Unreadable]:
    """All entries of a record in any mode, in order. Never raises."""
    if (fault := fault_of(headers)) is not None:
        return [Unreadable(value or b"", "unparsable-record", fault)]
    if value is None:
        return [Unreadable(b"", "empty-record", "the record has no value")]
    names = {name: text for name, text in headers if text is not None}
    if "ce_type" in names and not names.get("content-type", b"").lower().startswith(_FORMAT_PREFIX):
        return [_read_binary(value, names)]
    if value.lstrip()[:1] == b"[":
        return _read_batch(value)
    return [_read_structured(value)]


def fault_of(headers: Headers) -> str | None:
    """The reason if the record is a placeholder of an unparsable one, else None."""
    return next(((text or b"").decode(errors="replace") for name, text in headers if name == UNPARSABLE_HEADER), None)


def _read_batch(value: bytes) -> list[Entry | Unreadable]:
    try:
        return [_decoded(event) for event in _batch_decoder.decode(value)]
    except UNDECODABLE:
        pass  # at least one entry is not a CloudEvent: decode them one by one
    try:
        entries = _entries_decoder.decode(value)
    except UNDECODABLE as error:
        return [Unreadable(value, "not-json", f"the record is not a JSON array: {error}")]
    return [_read_structured(bytes(raw)) for raw in entries]


def _read_structured(raw: bytes) -> Entry | Unreadable:
    try:
        event = _event_decoder.decode(raw)
    except UNDECODABLE as error:
        return Unreadable(raw, "not-an-event", f"not a CloudEvent: {error}")
    return _decoded(event)


def _read_binary(value: bytes, headers: dict[str, bytes]) -> Entry | Unreadable:
    try:
        attributes = {name[3:]: text.decode() for name, text in headers.items() if name.startswith("ce_")}
        known = {name: text for name, text in attributes.items() if name in CloudEvent.__struct_fields__}
        event = msgspec.convert(known, CloudEvent)
        return _decoded(msgspec.structs.replace(event, data=msgspec.Raw(value)))
    except UNDECODABLE as error:
        return Unreadable(value, "not-an-event", f"the ce_ headers are not a CloudEvent: {error}")


def _decoded(event: CloudEvent) -> Entry | Unreadable:
    if not (event.id and event.source):
        return Unreadable(bytes(event.data), "not-an-event", "not a CloudEvent: id and source must not be empty")
    if event.data_base64 is not None:
        try:
            event = _with_binary_data(event, event.data_base64)
        except ValueError as error:
            return Unreadable(_encode(event), "invalid-message", f"{event.type}: data_base64: {error}")
    if too_deep(event.data):
        return Unreadable(bytes(event.data), "too-deep", f"{event.type}: nested deeper than {MAX_DEPTH}")
    try:
        return Entry(event, _decode(event))
    except KeyError:
        return Unreadable(bytes(event.data), "unknown-type", f"unknown message type {event.type!r}")
    except UNDECODABLE as error:
        return Unreadable(bytes(event.data), "invalid-message", f"{event.type}: {error}")


def _with_binary_data(event: CloudEvent, encoded: str) -> CloudEvent:
    """The event with `data_base64` decoded, as SDKs write binary data. Raises ValueError."""
    data = base64.b64decode(encoded, validate=True)
    return msgspec.structs.replace(event, data=msgspec.Raw(data), data_base64=None)


def _decode(event: CloudEvent) -> Message:
    """The message. Null fields count as absent, as producers in many languages write them. Raises UNDECODABLE,
    KeyError.
    """
    decoder = _decoders[event.type]
    try:
        return decoder.decode(event.data)
    except msgspec.ValidationError:
        fields = _fields_decoder.decode(event.data)
        present = {name: value for name, value in fields.items() if bytes(value) != b"null"}
        if len(present) == len(fields):
            raise
        return decoder.decode(_encode(present))


def too_deep(raw: bytes | msgspec.Raw) -> bool:
    """Whether JSON is nested deeper than MAX_DEPTH. Counts brackets first, as nearly all messages have fewer."""
    text = bytes(raw)
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _TEXT_OR_BRACKET.finditer(text):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(match[0], 0)
        if depth > MAX_DEPTH:
            return True
    return False
