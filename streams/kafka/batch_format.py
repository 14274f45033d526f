"""A parser of Kafka's record batches, one record at a time: a damaged record does not affect its neighbours.

aiokafka's parser is faster but rejects the whole batch; this one reads the batches that it rejects.
Source: https://kafka.apache.org/documentation/#recordbatch (magic 2).
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from aiokafka.errors import CorruptRecordException
from aiokafka.record.util import calc_crc32c
from aiokafka.record.util import decode_varint_py as decode_varint  # the compiled one reads beyond the end

from streams.kafka.codecs import gzip_decode, lz4_decode, snappy_decode, zstd_decode

#: Base offset, length, leader epoch, magic, checksum, attributes, last offset delta, first and newest timestamp,
#: producer id, producer epoch, base sequence, number of records.
_HEADER = struct.Struct(">qiibIhiqqqhii")
#: The checksum covers the bytes from the attributes on.
_CHECKED_FROM = struct.calcsize(">qiibI")
#: Bytes before those that `length` counts.
_OVERHEAD_BYTES = struct.calcsize(">qi")
_MAGIC_AT = struct.calcsize(">qii")
#: The format that is parsed here, and the minimum size of a record in an older one. Source: aiokafka, legacy_records.
_MAGIC, _LEGACY_BYTES = 2, 26
_CODEC_MASK, _LOG_APPEND_TIME, _CONTROL = 0x07, 0x08, 0x20
_UNPACK: dict[int, Callable[[Any], bytes]] = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}


class Header(NamedTuple):
    """The header of a batch; unreliable if the checksum is wrong."""

    base_offset: int
    #: Offset after its last record, including compacted ones.
    next_offset: int
    checksum: int
    attributes: int
    first_timestamp_ms: int
    newest_timestamp_ms: int
    records: int

    @property
    def is_control(self) -> bool:
        """Whether it is a transaction marker, without records for readers."""
        return bool(self.attributes & _CONTROL)


class Parsed(NamedTuple):
    """A record with aiokafka's attributes; incomplete if it is damaged."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    #: The damage; None: intact.
    fault: str | None = None
    checksum: None = None


def is_whole(batch: bytes) -> bool:
    """Whether a batch has a header and its full length."""
    if len(batch) < _LEGACY_BYTES or (magic_of(batch) >= _MAGIC and len(batch) < _HEADER.size):
        return False
    [length] = struct.unpack_from(">i", batch, 8)
    return bool(length == len(batch) - _OVERHEAD_BYTES)


def magic_of(batch: bytes) -> int:
    """Version of a batch's format."""
    return batch[_MAGIC_AT]


def split(data: bytes) -> Iterator[bytes]:
    """The batches of a fetch response; the last one may be truncated."""
    start = 0
    while len(data) - start >= _OVERHEAD_BYTES:
        [length] = struct.unpack_from(">i", data, start + 8)
        end = start + _OVERHEAD_BYTES + max(length, 0)
        yield data[start:end]
        start = end


def header_of(batch: bytes) -> Header | None:
    """The header of a batch; None if it is truncated."""
    if len(batch) < _HEADER.size:
        return None
    base, _, _, _, checksum, attributes, last_delta, first_ms, newest_ms, _, _, _, count = _HEADER.unpack_from(batch)
    return Header(base, base + last_delta + 1, checksum, attributes, first_ms, newest_ms, count)


def is_intact(batch: bytes) -> bool:
    """Whether the checksum matches."""
    header = header_of(batch)
    return header is not None and header.checksum == calc_crc32c(batch[_CHECKED_FROM:])


def parse(batch: bytes) -> Iterator[Parsed]:
    """The records of an intact batch, including damaged ones. Raises Exception if the rest cannot be parsed."""
    header = header_of(batch)
    if header is None:
        raise CorruptRecordException("the batch is shorter than its header")
    body = batch[_HEADER.size :]
    if codec := header.attributes & _CODEC_MASK:
        if codec not in _UNPACK:
            raise CorruptRecordException(f"unknown compression codec {codec}")
        body = _UNPACK[codec](body)
    position = 0
    for _ in range(header.records):
        length, start = decode_varint(body, position)
        position = start + length
        if length < 0 or position > len(body):
            raise CorruptRecordException("a record is longer than its batch")
        yield _parse_record(header, body[start:position])


def _parse_record(header: Header, record: bytes) -> Parsed:
    position = 1  # attributes: one byte, none of them defined
    timestamp_delta, position = decode_varint(record, position)
    offset_delta, position = decode_varint(record, position)
    by_broker = bool(header.attributes & _LOG_APPEND_TIME)
    timestamp = header.newest_timestamp_ms if by_broker else header.first_timestamp_ms + timestamp_delta
    known = Parsed(header.base_offset + offset_delta, timestamp, int(by_broker), None, record, [])
    try:
        key, position = _read_bytes(record, position)
        value, position = _read_bytes(record, position)
    except (CorruptRecordException, ValueError, IndexError) as error:
        return known._replace(fault=f"its key or value cannot be read: {error}")
    known = known._replace(key=key, value=value)
    try:
        return known._replace(headers=_read_headers(record, position))
    except (CorruptRecordException, ValueError, IndexError) as error:
        return known._replace(fault=f"its headers cannot be read: {error}")


def _read_headers(record: bytes, position: int) -> list[tuple[str, bytes | None]]:
    count, position = decode_varint(record, position)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, position = _read_bytes(record, position)
        value, position = _read_bytes(record, position)
        headers.append(((name or b"").decode(), value))
    if position != len(record):
        raise CorruptRecordException(f"{len(record) - position} bytes are left over")
    return headers


def _read_bytes(record: bytes, position: int) -> tuple[bytes | None, int]:
    length, position = decode_varint(record, position)
    if length < 0:
        return None, position
    if position + length > len(record):
        raise CorruptRecordException("it ends before its content does")
    return record[position : position + length], position + length
