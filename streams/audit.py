"""The hash chains of audit entries, and their verification: changed or removed entries are detected.

Each replica writes its own chain, as entries of several replicas have no order. An entry has the sha256 of its
predecessor's bytes; the first entry of a chain has offset and hash of the record before it in the topic, so that the
end of an older chain cannot be removed unnoticed once another chain has started.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from msgspec.structs import replace

from schemas.audit import AuditLink, AuditRecorded
from streams.kafka.envelope import UNDECODABLE, binary
from streams.kafka.reader import open_reader, read_between, read_to_end
from streams.kafka.topics import names
from streams.settings import Settings

#: CloudEvents extension that carries the sha256 of the value.
HASH_HEADER = "ce_hash"
_PARTITION = 0
_LINK_S = 10.0
#: Factor by which the search for the last record goes further back each time.
_FURTHER = 16

Headers = Sequence[tuple[str, bytes]]


class AuditUnreachable(Exception):
    """The log cannot be read."""

    exit_code = 3


class Sealed(NamedTuple):
    """An audit entry as a record, with its hash."""

    value: bytes
    headers: list[tuple[str, bytes]]
    hash: str


class Chain:
    """A hash chain: seals entries, each with the hash of the one before it. `name` is unique among all chains."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._seq = 0
        self._prev = ""

    def seal(self, entry: AuditRecorded) -> Sealed:
        """The entry with chain name, sequence number and previous hash set."""
        self._seq += 1
        placed = replace(entry, chain=self.name, seq=self._seq, prev=self._prev)
        value, headers = binary(
            placed,
            event_id=f"{self.name}/{self._seq}",
            source="kinolog/web",
            subject=self.name,
            at=placed.at,
        )
        self._prev = digest(value)
        return Sealed(value, [*headers, (HASH_HEADER, self._prev.encode())], self._prev)


def digest(value: bytes) -> str:
    """sha256, hex."""
    return hashlib.sha256(value).hexdigest()


class AuditRecord(NamedTuple):
    """A record of `media.audit`."""

    offset: int
    value: bytes
    headers: Headers


@dataclass
class Verdict:
    """The result of a verification."""

    entries: int = 0
    #: First existing offset; earlier records cannot be verified.
    first_offset: int | None = None
    #: Faults, one sentence each.
    findings: list[str] = field(default_factory=list)
    #: Hash of the last entry of each chain: saved elsewhere, they show a removed end.
    heads: dict[str, str] = field(default_factory=dict)


class _Head(NamedTuple):
    seq: int
    hash: str


def verify(records: Iterable[AuditRecord]) -> Verdict:
    """Verify all records of the topic, in order. An unchanged repeat by the producer is no fault."""
    verdict, heads, hashes, seen = Verdict(), dict[str, _Head](), dict[int, str](), set[str]()
    expected: int | None = None
    for record in records:
        if expected is None:
            verdict.first_offset = record.offset
        elif record.offset != expected:
            verdict.findings.append(f"offset {expected} to {record.offset - 1}: removed")
        expected = record.offset + 1
        hashes[record.offset] = digest(record.value)
        verdict.entries += 1
        if hashes[record.offset] not in seen or not _is_sealed(record, hashes[record.offset]):
            faults = _faults(record, verdict.first_offset or 0, heads, hashes)
            verdict.findings += [f"offset {record.offset}: {reason}" for reason in faults]
        seen.add(hashes[record.offset])
    verdict.heads = {name: head.hash for name, head in heads.items()}
    return verdict


def _faults(record: AuditRecord, first_offset: int, heads: dict[str, _Head], hashes: dict[int, str]) -> list[str]:
    record_hash = hashes[record.offset]
    try:
        entry = msgspec.json.decode(record.value, type=AuditRecorded)
    except UNDECODABLE as error:
        return [f"not an audit entry: {error}"]
    faults = [] if _is_sealed(record, record_hash) else ["changed: its hash differs"]
    faults += _chain_faults(entry, heads.get(entry.chain), first_offset)
    if entry.after is not None and hashes.get(entry.after.offset, entry.after.hash) != entry.after.hash:
        faults.append(f"the record at offset {entry.after.offset} differs from the one when this entry was written")
    heads[entry.chain] = _Head(entry.seq, record_hash)
    return faults


def _is_sealed(record: AuditRecord, record_hash: str) -> bool:
    return dict(record.headers).get(HASH_HEADER, b"").decode(errors="replace") == record_hash


def _chain_faults(entry: AuditRecorded, head: _Head | None, first_offset: int) -> list[str]:
    if head is None:
        is_opening = entry.seq == 1 and entry.prev == ""
        return [] if is_opening or first_offset > 0 else [f"chain {entry.chain} starts at {entry.seq}, not at 1"]
    faults = []
    if entry.seq != head.seq + 1:
        faults.append(f"chain {entry.chain} goes from {head.seq} to {entry.seq}")
    if entry.prev != head.hash:
        faults.append(f"chain {entry.chain}: the entry before it was changed")
    return faults


async def read_all(settings: Settings) -> list[AuditRecord]:
    """All current records of the topic. Raises AuditUnreachable."""
    part = TopicPartition(names(settings).audit, _PARTITION)
    try:
        async with open_reader(settings.bootstrap, [part], reset="earliest") as reader:
            return [_audit_record(record) async for record in read_to_end(reader, [part])]
    except (KafkaError, OSError, TimeoutError) as error:
        reason = "no broker responds" if isinstance(error, KafkaConnectionError) else str(error)
        raise AuditUnreachable(f"The log at {settings.bootstrap} cannot be read: {reason}") from error


async def last_link(settings: Settings) -> AuditLink | None:
    """The last record of the topic; None if it is empty. Raises KafkaError, TimeoutError."""
    part = TopicPartition(names(settings).audit, _PARTITION)
    async with asyncio.timeout(_LINK_S), open_reader(settings.bootstrap, [part], reset="earliest") as reader:
        last = await _last_record(reader, part)
    return AuditLink(offset=last.offset, hash=digest(last.value)) if last is not None else None


async def _last_record(consumer: Any, place: TopicPartition) -> AuditRecord | None:
    """Search further and further back: the last offsets may have no record."""
    beginning = (await consumer.beginning_offsets([place]))[place]
    end, back, last = (await consumer.end_offsets([place]))[place], 1, None
    while last is None and end - back // _FURTHER > beginning:
        async for record in read_between(consumer, {place: max(end - back, beginning)}, {place: end}):
            last = _audit_record(record)
        back *= _FURTHER
    return last


def _audit_record(record: Any) -> AuditRecord:
    return AuditRecord(record.offset, record.value or b"", tuple(record.headers))
