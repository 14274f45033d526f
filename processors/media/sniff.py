"""The container of a file, recognised by its first bytes: neither a name nor a Content-Type is believed."""

from pathlib import Path
from typing import BinaryIO

from processors.errors import EmptyMedia, SourceMissing, UnsupportedMedia
from processors.media.containers import (
    AAC,
    AC3,
    AIFF,
    AMR,
    APNG,
    ASF,
    AU,
    AVI,
    CAF,
    DV,
    EAC3,
    FLAC,
    FLV,
    GIF,
    MATROSKA,
    MP2,
    MP3,
    MP4,
    MPEG,
    MPEGTS,
    MXF,
    OGG,
    QUICKTIME,
    REAL,
    TRUE_AUDIO,
    WAV,
    WAVE64,
    WAVPACK,
    WEBM,
    Container,
)
from processors.media.pictures import gif_moves, picture_name, png_moves
from processors.media.refusals import named, verdict

#: Enough for the longest signature: three packets of a transport stream with time codes.
HEAD_BYTES = 4096

_ASK = "Upload a video or audio file (such as MP4, MOV, MKV, WebM, AVI, MPEG, WMV, MP3, M4A, WAV, FLAC or Ogg)."
#: ID3 tags one after the other: of a segment of HLS, and its own.
_MAX_TAGS = 3

#: First bytes. Source: ISO/IEC 13818-1, 2.5.3.3; ASF specification 10.1; FLV specification, annex E.2; Apple, Core
#: Audio Format; Sony Wave64; RFC 4867, 5; IEC 61834-2 (a frame's first header block, 525 and 625 lines); Sun, audio(4);
#: SMPTE ST 377-1, 7; WavPack 4 & 5 file format; True Audio, codec description; libavformat/rmdec.c.
_MAGIC: tuple[tuple[bytes, Container], ...] = (
    (b"OggS", OGG),
    (b"fLaC", FLAC),
    (b"\x00\x00\x01\xba", MPEG),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), ASF),
    (b"FLV\x01", FLV),
    (b"\x1f\x07\x00\x3f", DV),
    (b"\x1f\x07\x00\xbf", DV),
    (b"caff\x00\x01", CAF),
    (bytes.fromhex("726966662e91cf11a5d628db04c10000"), WAVE64),
    (b".snd", AU),
    (b"#!AMR\n", AMR),
    (b"#!AMR-WB\n", AMR),
    (bytes.fromhex("060e2b34020501010d010201"), MXF),
    (b".RMF\0\0\0", REAL),
    (b"wvpk", WAVPACK),
    (b"TTA1", TRUE_AUDIO),
)

#: Top-level boxes that a QuickTime or MP4 file may start with. Source: ISO/IEC 14496-12, Apple QuickTime File Format.
_FIRST_BOXES = frozenset({b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx", b"moof"})
#: AC-3 up to this version of the bit stream, E-AC-3 beyond. Source: ATSC A/52, E.1.3.1.6.
_AC3_VERSIONS = 10
#: Source: ATSC A/52, tables 5.6 and 5.18.
_AC3_RATES_HZ = (48_000, 44_100, 32_000)
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
#: Packet lengths of transport streams, and where the sync byte stands in them (192: M2TS with a time code before it).
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))


def sniff(head: bytes) -> Container | None:
    """The container that starts with `head` (HEAD_BYTES of it suffice), or None when we do not take it."""
    for _ in range(_MAX_TAGS):
        if container := _known(head):
            return container
        head = head[_id3_bytes(head) :] if _id3_bytes(head) else b""
    return None


def _known(head: bytes) -> Container | None:
    if picture_name(head):  # HEIC and AVIF begin as MP4 does
        return None
    return _by_magic(head) or _quicktime(head) or _transport_stream(head) or _dolby(head) or _mpeg_audio(head)


def recognise(source: Path, filename: str | None = None) -> Container:
    """The container of a file. Raises EmptyMedia, UnsupportedMedia or SourceMissing."""
    try:
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
            container = sniff(head) or _animation(head, file) or _behind_id3(head, file)
    except OSError as error:
        raise SourceMissing("The uploaded file cannot be found any more.", detail=str(error)) from error
    if not head:
        raise EmptyMedia(f"{named(filename)} is empty: it has no bytes. Upload it again.")
    if container is None:
        raise UnsupportedMedia(f"{named(filename)} {verdict(head, filename)}. {_ASK}")
    return container


def _by_magic(head: bytes) -> Container | None:
    match head[:4], head[8:12]:
        case b"\x1a\x45\xdf\xa3", _:
            return WEBM if b"webm" in head[:64] else MATROSKA
        case b"RIFF", b"AVI ":
            return AVI
        case ((b"RIFF" | b"RF64"), b"WAVE"):
            return WAV
        case b"FORM", (b"AIFF" | b"AIFC"):
            return AIFF
    return next((container for magic, container in _MAGIC if head.startswith(magic)), None)


def _quicktime(head: bytes) -> Container | None:
    kind, size = head[4:8], int.from_bytes(head[:4], "big")
    if kind == b"ftyp" and size >= 8:
        return QUICKTIME if head[8:12] == b"qt  " else MP4
    # Sizes 0 and 1 mean "to the end" and "64 bits follow".
    return QUICKTIME if kind in _FIRST_BOXES and (size in (0, 1) or size >= 8) else None


def _transport_stream(head: bytes) -> Container | None:
    for length, sync in _TS_PACKETS:
        places = range(sync, sync + 5 * length, length)
        if len(head) > places[-1] and all(head[place] == 0x47 for place in places):
            return MPEGTS
    return None


def _mpeg_audio(head: bytes) -> Container | None:
    """MP3 or ADTS, told apart by the layer bits behind the 11 or 12 sync bits. Source: ISO/IEC 11172-3, 13818-7."""
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        return AAC
    layer, bit_rate, sample_rate = head[1] & 0x06, head[2] >> 4, head[2] >> 2 & 3
    if head[1] & 0xE0 != 0xE0 or bit_rate in (0, 15) or sample_rate == 3:
        return None
    return MP3 if layer == 0x02 else MP2 if layer == 0x04 else None


def _dolby(head: bytes) -> Container | None:
    """AC-3 or E-AC-3, when a second frame follows the first. Source: ATSC A/52, 5.4.1 and E.1.3.1."""
    if head[:2] != b"\x0b\x77" or len(head) < 6:
        return None
    version = head[5] >> 3
    size = _eac3_frame_bytes(head) if version > _AC3_VERSIONS else _ac3_frame_bytes(head)
    if not size or head[size : size + 2] != b"\x0b\x77":
        return None
    return EAC3 if version > _AC3_VERSIONS else AC3


def _eac3_frame_bytes(head: bytes) -> int:
    return 2 * ((head[2] & 0x07) << 8 | head[3]) + 2


def _ac3_frame_bytes(head: bytes) -> int:
    """Length of a frame of 1536 samples; 0 when the header is none."""
    rate, code = head[4] >> 6, head[4] & 0x3F
    if rate >= len(_AC3_RATES_HZ) or code >> 1 >= len(_AC3_KBPS):
        return 0
    words = _AC3_KBPS[code >> 1] * 1000 * 96 // _AC3_RATES_HZ[rate]
    return 2 * (words + (code & 1 if _AC3_RATES_HZ[rate] == 44_100 else 0))


def _id3_bytes(head: bytes) -> int:
    """Length of an ID3v2 tag: ten bytes and four times seven bits. Source: id3.org, ID3v2.4.0 section 3.1."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _behind_id3(head: bytes, file: BinaryIO) -> Container | None:
    """What follows a tag that is longer than the head, such as one with a cover picture; padding may lie between."""
    if not (tag_bytes := _id3_bytes(head)):
        return None
    file.seek(tag_bytes)
    return sniff(file.read(HEAD_BYTES).lstrip(b"\0"))


def _animation(head: bytes, file: BinaryIO) -> Container | None:
    """The container of a picture that moves."""
    match picture_name(head):
        case "GIF":
            return GIF if gif_moves(file) else None
        case "PNG":
            return APNG if png_moves(file) else None
    return None
