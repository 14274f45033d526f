"""What aiokafka cannot parse costs one record, never its neighbours, and never the reader."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.codec import snappy_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka import batch_format, codecs, record_parsing
from streams.kafka.envelope import UNPARSABLE_HEADER
from streams.kafka.record_parsing import Batches, TolerantRecords

PLACE = TopicPartition("media.uploads", 3)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
#: Stands in a header's name where a test puts bytes that are no UTF-8.
_MARK = "latin"


@pytest.fixture(autouse=True)
def parsing() -> Iterator[None]:
    record_parsing.install(lambda *_: None)
    yield
    record_parsing.install(lambda *_: None)


def batch(
    first: int, values: Sequence[bytes], *, codec: int = 0, header: str = "ce_id", producer: int = -1, control: int = 0
) -> bytes:
    """A batch as a broker keeps it. `header`: a header's name; `producer`: of a transaction; `control`: its marker."""
    builder = DefaultRecordBatchBuilder(2, codec, int(producer >= 0), producer, 0, 0, 2**31 - 1)
    for number, value in enumerate(values):
        key = struct.pack(">hh", 0, int(control > 0)) if control else b"key"
        builder.append(number, timestamp=1_000, key=key, value=value, headers=[(header, b"1")])
    built = bytearray(builder.build())
    built[:8] = struct.pack(">q", first)
    built[21:23] = struct.pack(">h", struct.unpack_from(">h", built, 21)[0] | (0x20 if control else 0))
    return resealed(bytes(built).replace(_MARK.encode(), b"\xfcber!"))


def marker(offset: int, producer: int, *, commits: bool) -> bytes:
    """The control batch that ends a transaction."""
    return batch(offset, [b"\0" * 6], producer=producer, control=1 if commits else -1)


def resealed(built: bytes) -> bytes:
    """With the checksum of what is in it."""
    return built[:17] + struct.pack(">I", calc_crc32c(built[21:])) + built[21:]


def flipped(built: bytes, at: int = 70) -> bytes:
    """Damaged on a disk."""
    return built[:at] + bytes([built[at] ^ 0xFF]) + built[at + 1 :]


class Reading:
    """One partition, read to the end as aiokafka's fetcher does it: again where it stopped."""

    def __init__(self, data: bytes, start: int = 0, *, aborted: Any = (), committed: bool = True) -> None:
        self.skipped: list[tuple[int, int]] = []
        self.records: list[Any] = []
        self.position, self.fetches = start, 0
        batches = list(batch_format.split(data))
        record_parsing.install(lambda _tp, begin, end: self.skipped.append((begin, end)))
        while rest := [one for one in batches if _end(one) > self.position]:
            self._fetch(b"".join(rest), aborted, committed=committed)

    def _fetch(self, data: bytes, aborted: Any, *, committed: bool) -> None:
        self.fetches += 1
        assert self.fetches < 100, "it never gets past this"
        found = TolerantRecords(PLACE, Batches(data), aborted, self.position, None, None, True, int(committed))
        self.records += list(found)
        self.position = found.next_fetch_offset

    @property
    def offsets(self) -> list[int]:
        return [record.offset for record in self.records]

    @property
    def faulty(self) -> dict[int, str]:
        """Why, by offset."""
        found = {record.offset: dict(record.headers).get(UNPARSABLE_HEADER) for record in self.records}
        return {offset: reason.decode() for offset, reason in found.items() if reason is not None}

    def covers(self, start: int, end: int) -> bool:
        """Whether every offset was given or reported."""
        skipped = {offset for begin, stop in self.skipped for offset in range(begin, stop)}
        return set(range(start, end)) == skipped | set(self.offsets)


def _end(built: bytes) -> int:
    return int(struct.unpack_from(">q", built)[0] + struct.unpack_from(">i", built, 23)[0] + 1)


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_is_read_whatever_it_is_compressed_with(codec: str) -> None:
    reading = Reading(batch(5, [b"one", b"two" * 1000], codec=CODECS[codec]), 5)
    assert [record.value for record in reading.records] == [b"one", b"two" * 1000]


@pytest.mark.parametrize("codec", CODECS)
def test_a_header_name_that_is_not_utf8_costs_its_record_and_no_other(codec: str) -> None:
    good, bad = batch(0, [b"a", b"b"]), batch(2, [b"c"], header=_MARK, codec=CODECS["none"])
    mixed = batch(3, [b"d", b"e"], codec=CODECS[codec])
    reading = Reading(good + bad + mixed)
    assert reading.offsets == [0, 1, 2, 3, 4]
    assert list(reading.faulty) == [2]
    assert "headers cannot be read" in reading.faulty[2]
    assert (reading.records[2].key, reading.records[2].value) == (b"key", b"c")  # for the dead letter


def test_one_faulty_record_does_not_take_those_in_its_batch_with_it() -> None:
    built = batch(0, [b"a", b"b", b"c"], header=_MARK)
    second = built.rfind(b"\xfcber!", 0, built.rfind(b"\xfcber!"))
    whole = built.replace(b"\xfcber!", b"latin")
    reading = Reading(resealed(whole[:second] + b"\xfcber!" + whole[second + 5 :]))
    assert reading.offsets == [0, 1, 2]
    assert list(reading.faulty) == [1]
    assert reading.records[2].headers == (("latin", b"1"),)


def test_a_damaged_batch_is_fetched_again_and_then_passed_over_once() -> None:
    reading = Reading(batch(0, [b"a"]) + flipped(batch(1, [b"b", b"c", b"d"])) + batch(4, [b"e"]))
    assert reading.fetches == record_parsing.TRIES
    assert reading.offsets == [0, 1, 4]
    assert "Invalid CRC" in reading.faulty[1]
    assert reading.covers(0, 5)


def test_damage_that_a_second_fetch_does_not_have_costs_nothing() -> None:
    data = batch(0, [b"a"])
    first = TolerantRecords(PLACE, Batches(flipped(data)), (), 0, None, None, True, 1)
    assert list(first) == []
    assert first.next_fetch_offset == 0
    assert Reading(data).faulty == {}


def test_a_batch_with_an_unknown_codec_is_passed_over() -> None:
    built = batch(1, [b"b", b"c"])
    unknown = resealed(built[:21] + struct.pack(">h", 6) + built[23:])
    reading = Reading(batch(0, [b"a"]) + unknown + batch(3, [b"d"]))
    assert reading.offsets == [0, 1, 3]
    assert reading.covers(0, 4)


def test_a_few_kilobytes_that_unpack_to_gigabytes_do_not_end_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "MAX_UNPACKED_BYTES", 1024**2)
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        reading = Reading(batch(0, [bytes(2 * 1024**2)], codec=CODECS[codec]) + batch(1, [b"b"], codec=CODECS[codec]))
        assert reading.offsets == [0, 1]
        assert list(reading.faulty) == [0], codec


def test_snappy_blocks_of_java_and_raw_ones_of_librdkafka_are_read() -> None:
    assert codecs.snappy_decode(cramjam.snappy.compress_raw(b"raw" * 50)) == b"raw" * 50
    assert codecs.snappy_decode(snappy_encode(b"x" * 100_000)) == b"x" * 100_000


def test_events_of_an_aborted_transaction_are_not_given_and_those_of_a_committed_one_are() -> None:
    data = batch(0, [b"aborted", b"too"], producer=7) + batch(2, [b"kept"], producer=8)
    data += marker(3, 7, commits=False) + batch(4, [b"the same producer"], producer=7)
    data += marker(5, 8, commits=True) + marker(6, 7, commits=True)
    reading = Reading(data, aborted=[(7, 0)])
    assert [record.value for record in reading.records] == [b"kept", b"the same producer"]
    assert reading.position == 7
    assert reading.covers(0, 7)


def test_markers_at_the_end_are_reported_though_no_record_follows() -> None:
    reading = Reading(batch(0, [b"a"], producer=7) + marker(1, 7, commits=True))
    assert reading.offsets == [0]
    assert reading.skipped == [(1, 2)]


def test_compacted_offsets_are_reported() -> None:
    reading = Reading(batch(3, [b"a"]) + batch(9, [b"b"]))
    assert reading.skipped == [(0, 3), (4, 9)]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(16, 400), st.integers(1, 255)), max_size=4),
    st.sampled_from(list(CODECS)),
)
def test_whatever_is_flipped_on_a_disk_reading_ends_and_only_damaged_batches_are_lost(
    flips: list[tuple[int, int, int]], codec: str
) -> None:
    """Offset and length of a batch are left alone: a broker does not get past those itself."""
    batches = [bytearray(batch(n * 2, [b"value", b"x" * 40], codec=CODECS[codec])) for n in range(3)]
    sound = [bytes(one) for one in batches]
    for number, at, mask in flips:
        place = 12 + at % (len(batches[number]) - 12)
        batches[number][place] ^= mask
    position, given_offsets = 0, list[int]()
    for _ in range(record_parsing.TRIES * 6):
        data = b"".join(bytes(one) for n, one in enumerate(batches) if n * 2 + 2 > position)
        found = TolerantRecords(PLACE, Batches(data), (), position, None, None, True, 1)
        given_offsets += [record.offset for record in found if not dict(record.headers).get(UNPARSABLE_HEADER)]
        position = found.next_fetch_offset
        if position >= 6:
            break
    assert position >= 6
    intact = [n for n in range(3) if bytes(batches[n])[16:] == sound[n][16:]]
    assert set(given_offsets) >= {offset for n in intact for offset in (n * 2, n * 2 + 1)}
    assert given_offsets == sorted(set(given_offsets))
