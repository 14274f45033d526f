"""Reads the boxes of fragmented MP4 that a proof needs. Source: ISO/IEC 14496-12; 14496-14 and -15 for codecs."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from processors.errors import OutputIncomplete, OutputInvalid

_NON_SYNC = 0x10000
#: What a trun may say of each sample, in this order.
_SAMPLE_FIELDS = ((0x100, "ticks"), (0x200, "size"), (0x400, "flags"), (0x800, "offset"))
#: Boxes whose content is boxes, with the number of bytes before the first.
_NESTED = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"mvex": 0, b"moof": 0, b"traf": 0, b"edts": 0}
_NESTED |= {b"stsd": 8, b"avc1": 78, b"mp4a": 28}
#: Boxes in each other; a sample entry's stand eight deep.
_MAX_DEPTH = 16
#: Samples in one segment: minutes of sound.
_MAX_SAMPLES = 1_000_000
#: MPEG-4 descriptors: elementary stream, decoder configuration, decoder-specific.
_ES, _DECODER_CONFIG, _DECODER_SPECIFIC = 3, 4, 5


@dataclass(frozen=True, kw_only=True)
class Init:
    """What an initialisation segment says of its one track."""

    #: For CODECS, e.g. "avc1.64001f". Source: RFC 6381.
    codec: str
    #: Ticks a second.
    timescale: int
    #: Of samples that say nothing themselves.
    default_ticks: int
    default_flags: int
    #: What the edit list takes off the time at which a sample is shown. Empty edits do not count: players ignore them.
    edit_ticks: int = 0


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """One segment, measured."""

    #: Decode time of the first sample.
    start_s: Fraction
    duration_s: Fraction
    #: When the first sample is shown.
    shown_s: Fraction
    samples: int
    #: Whether decoding can begin here.
    starts_with_keyframe: bool


def boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Kind, content start and end of each box. Raises OutputInvalid for one that does not fit."""
    end = len(content) if end is None else end
    while start < end:
        if end - start < 8:
            raise OutputIncomplete("A segment ends in the middle of a box.")
        size, kind = struct.unpack_from(">I4s", content, start)
        head = 8
        if size == 1 and end - start >= 16:
            (size,), head = struct.unpack_from(">Q", content, start + 8), 16
        if size < head or start + size > end:
            raise OutputIncomplete(f"A segment is shorter than its {kind.decode('latin-1')!r} box says.")
        yield kind, start + head, start + size
        start += size


def walk(content: bytes, start: int = 0, end: int | None = None, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """As `boxes`, and then what is in each of those that hold boxes. Raises OutputInvalid where that has no end."""
    if depth > _MAX_DEPTH:
        raise OutputInvalid("A segment's boxes stand too deep in each other.")
    for kind, at, stop in boxes(content, start, end):
        yield kind, at, stop
        if kind in _NESTED:
            yield from walk(content, at + _NESTED[kind], stop, depth + 1)


def read_init(content: bytes) -> Init:
    """An initialisation segment. Raises OutputInvalid when it does not hold exactly what a player needs."""
    found = {kind: content[at:stop] for kind, at, stop in walk(content)}
    try:
        timescale_at = 20 if found[b"mdhd"][0] == 1 else 12
        (timescale,) = struct.unpack_from(">I", found[b"mdhd"], timescale_at)
        ticks, _, flags = struct.unpack_from(">III", found[b"trex"], 12)
        edit = _edit(found.get(b"elst", b""))
        if not timescale:
            raise OutputInvalid("An initialisation segment has a clock that stands still.")
        return Init(codec=_codec(found), timescale=timescale, default_ticks=ticks, default_flags=flags, edit_ticks=edit)
    except (KeyError, IndexError, struct.error) as error:
        raise OutputIncomplete("An initialisation segment is incomplete.", detail=repr(error)) from error


def _codec(found: dict[bytes, bytes]) -> str:
    if b"avcC" in found:
        return f"avc1.{found[b'avcC'][1:4].hex()}"
    return f"mp4a.40.{_audio_object_type(found[b'esds'])}"


def _edit(elst: bytes) -> int:
    """Media time of the first edit that is not empty. Source: ISO/IEC 14496-12, 8.6.6."""
    if not elst:
        return 0
    entry = ">Qqhh" if elst[0] == 1 else ">Iihh"
    (count,) = struct.unpack_from(">I", elst, 4)
    times = (struct.unpack_from(entry, elst, 8 + struct.calcsize(entry) * number)[1] for number in range(count))
    return next((time for time in times if time >= 0), 0)


def _audio_object_type(esds: bytes) -> int:
    """First five bits of the AudioSpecificConfig. Source: ISO/IEC 14496-3, 1.6.2.1; 14496-1, 7.2.6."""
    at = 4
    while at < len(esds):
        tag, at = esds[at], at + 1
        while esds[at] & 0x80:  # the length, seven bits a byte
            at += 1
        at += 1
        if tag == _DECODER_SPECIFIC:
            return esds[at] >> 3
        at += {_ES: 3, _DECODER_CONFIG: 13}[tag]
    raise KeyError("AudioSpecificConfig")


def read_fragment(path: Path, init: Init) -> Fragment:
    """A segment, its moof boxes read and the extent of its samples checked. Raises OutputInvalid."""
    return fragment_in(path.read_bytes(), path.name, init)


def fragment_in(content: bytes, name: str, init: Init) -> Fragment:
    """The segment that `content` is. Raises OutputInvalid."""
    runs = [_Run(content, at, stop, init) for kind, at, stop in boxes(content) if kind == b"moof"]
    payload = sum(stop - at for kind, at, stop in boxes(content) if kind == b"mdat")
    if not runs or not runs[0].samples:
        raise OutputIncomplete(f"The segment {name} holds no samples.")
    if payload < sum(run.sizes for run in runs):
        raise OutputIncomplete(f"The segment {name} holds fewer bytes than its samples have.")
    first = runs[0]
    return Fragment(
        start_s=Fraction(first.start, init.timescale),
        duration_s=Fraction(sum(run.ticks for run in runs), init.timescale),
        shown_s=Fraction(first.start + first.first_offset - init.edit_ticks, init.timescale),
        samples=sum(run.samples for run in runs),
        starts_with_keyframe=not first.first_flags & _NON_SYNC,
    )


class _Run:
    """The samples of one moof: tfhd's defaults, tfdt's time, and what trun says of each."""

    def __init__(self, content: bytes, at: int, stop: int, init: Init) -> None:
        self.start = self.ticks = self.samples = self.sizes = self.first_offset = 0
        self.first_flags = self._flags = init.default_flags
        self._ticks, self._size = init.default_ticks, 0
        try:
            for kind, start, end in walk(content, at, stop):
                self._take(kind, content[start:end])
        except struct.error as error:
            raise OutputIncomplete("A fragment's tables are cut short.", detail=str(error)) from error

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"tfhd":
            self._defaults(body)
        elif kind == b"tfdt":
            (self.start,) = struct.unpack_from(">Q" if body[0] == 1 else ">I", body, 4)
        elif kind == b"trun":
            self._samples(body)

    def _defaults(self, body: bytes) -> None:
        (present,) = struct.unpack_from(">I", body)
        at = 8 + (8 if present & 1 else 0) + (4 if present & 2 else 0)
        for bit, name in ((0x08, "_ticks"), (0x10, "_size"), (0x20, "_flags")):
            if present & bit:
                (value,) = struct.unpack_from(">I", body, at)
                setattr(self, name, value)
                at += 4
        self.first_flags = self._flags

    def _samples(self, body: bytes) -> None:
        present, count = struct.unpack_from(">II", body)
        at = 8 + (4 if present & 0x1 else 0)
        first_flags = self._flags
        if present & 0x4:
            (first_flags,) = struct.unpack_from(">I", body, at)
            at += 4
        if self.samples + count > _MAX_SAMPLES:
            raise OutputInvalid("A fragment says that it has more samples than any has.")
        names = [name for bit, name in _SAMPLE_FIELDS if present & bit]
        row = struct.Struct(f">{len(names)}I")
        for number in range(count):
            values = dict(zip(names, row.unpack_from(body, at + row.size * number), strict=True))
            if not self.samples:
                self.first_flags = values.get("flags", first_flags)
                self.first_offset = _signed(values.get("offset", 0))
            self.samples += 1
            self.ticks += values.get("ticks", self._ticks)
            self.sizes += values.get("size", self._size)


def _signed(value: int) -> int:
    return value - (1 << 32) if value & 0x80000000 else value
