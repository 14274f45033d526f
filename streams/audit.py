"""The hash chains of audit entries, and their verification: changed or removed entries are detected.

Each replica writes its own chain, as entries of several replicas have no order. An entry has the sha256 of its
predecessor's bytes; the first entry of a chain has offset and hash of the record before it in the topic, so that the
end of an older chain cannot be removed unnoticed once another chain has started.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from cachetools import FIFOCache
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
#: Hashes of the latest records that a verification keeps, 25 MB of them: repeats of a producer are recognised within
#: them. Links to older records are looked up at the end.
_WINDOW = 100_000
#: Findings of a verification that are kept; further ones are counted.
MAX_FINDINGS = 1_000

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
    #: Faults, one sentence each; the first MAX_FINDINGS.
    findings: list[str] = field(default_factory=list)
    #: Number of all faults.
    faults: int = 0
    #: Hash of the last entry of each chain: saved elsewhere, they show a removed end.
    heads: dict[str, str] = field(default_factory=dict)

    def add(self, finding: str) -> None:
        """Note a fault."""
        self.faults += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)


class _Head(NamedTuple):
    seq: int
    hash: str


class _Link(NamedTuple):
    """A reference of the entry at `offset` to an earlier record."""

    offset: int
    after: AuditLink

    def finding(self, found: str) -> str | None:
        """The fault if the earlier record has the hash `found`."""
        if found == self.after.hash:
            return None
        return (
            f"offset {self.offset}: the record at offset {self.after.offset} differs from the one when this entry was "
            "written"
        )


class Verifier:
    """Verifies the records of the topic, in order, in bounded memory. An unchanged repeat by the producer is no
    fault.
    """

    def __init__(self) -> None:
        self.verdict = Verdict()
        #: Links to records that are no longer kept; one per chain, that is per start of a replica.
        self.open_links: list[_Link] = []
        self._heads: dict[str, _Head] = {}
        self._expected: int | None = None
        self._hashes: FIFOCache[int, str] = FIFOCache(_WINDOW)
        self._seen: FIFOCache[str, None] = FIFOCache(_WINDOW)

    def take(self, record: AuditRecord) -> None:
        """Verify the next record."""
        verdict, record_hash = self.verdict, digest(record.value)
        if self._expected is None:
            verdict.first_offset = record.offset
        elif record.offset != self._expected:
            verdict.add(f"offset {self._expected} to {record.offset - 1}: removed")
        self._expected = record.offset + 1
        self._hashes[record.offset] = record_hash
        verdict.entries += 1
        if record_hash not in self._seen or not _is_sealed(record, record_hash):
            for reason in self._faults(record, record_hash):
                verdict.add(f"offset {record.offset}: {reason}")
        self._seen[record_hash] = None

    def check(self, link: _Link, found: str | None) -> None:
        """Compare a link with the hash of its record; None: it does not exist any more."""
        if found is not None and (finding := link.finding(found)) is not None:
            self.verdict.add(finding)

    def _faults(self, record: AuditRecord, record_hash: str) -> list[str]:
        try:
            entry = msgspec.json.decode(record.value, type=AuditRecorded)
        except UNDECODABLE as error:
            return [f"not an audit entry: {error}"]
        faults = [] if _is_sealed(record, record_hash) else ["changed: its hash differs"]
        faults += _chain_faults(entry, self._heads.get(entry.chain), self.verdict.first_offset or 0)
        if entry.after is not None:
            self._follow(_Link(record.offset, entry.after))
        self._heads[entry.chain] = _Head(entry.seq, record_hash)
        self.verdict.heads[entry.chain] = record_hash
        return faults

    def _follow(self, link: _Link) -> None:
        if (known := self._hashes.get(link.after.offset)) is not None:
            self.check(link, known)
        elif (self.verdict.first_offset or 0) <= link.after.offset < link.offset:
            self.open_links.append(link)


def verify(records: Iterable[AuditRecord]) -> Verdict:
    """Verify all records of the topic, in order; links further back than the window are not checked."""
    verifier = Verifier()
    for record in records:
        verifier.take(record)
    return verifier.verdict


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


async def verify_log(settings: Settings) -> Verdict:
    """Verify the records of the topic as it is now, read one after another. Raises AuditUnreachable."""
    part, verifier = TopicPartition(names(settings).audit, _PARTITION), Verifier()
    async with _reader(settings) as reader:
        async for record in read_to_end(reader, [part]):
            verifier.take(_audit_record(record))
        for link in verifier.open_links:
            async for record in read_between(reader, {part: link.after.offset}, {part: link.after.offset + 1}):
                verifier.check(link, digest(_audit_record(record).value))
    return verifier.verdict


async def read_records(settings: Settings) -> AsyncIterator[AuditRecord]:
    """The current records of the topic, one after another. Raises AuditUnreachable."""
    async with _reader(settings) as reader:
        async for record in read_to_end(reader, [TopicPartition(names(settings).audit, _PARTITION)]):
            yield _audit_record(record)


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[Any]:
    part = TopicPartition(names(settings).audit, _PARTITION)
    try:
        async with open_reader(settings.cluster, [part], reset="earliest") as reader:
            yield reader
    except (KafkaError, OSError, TimeoutError) as error:
        reason = "no broker responds" if isinstance(error, KafkaConnectionError) else str(error)
        raise AuditUnreachable(f"The log at {settings.cluster} cannot be read: {reason}") from error


async def last_link(settings: Settings) -> AuditLink | None:
    """The last record of the topic; None if it is empty. Raises KafkaError, TimeoutError."""
    part = TopicPartition(names(settings).audit, _PARTITION)
    async with asyncio.timeout(_LINK_S), open_reader(settings.cluster, [part], reset="earliest") as reader:
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
