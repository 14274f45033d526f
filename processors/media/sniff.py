"""Tells a container by its first bytes, from our own list: neither a name nor a Content-Type is believed."""

import re
from dataclasses import dataclass
from pathlib import Path

from processors.errors import EmptyMedia, SourceMissing, UnsupportedMedia

#: Enough for the longest signature: three packets of a transport stream with time codes.
HEAD_BYTES = 4096

#: What a suffix looks like that people know.
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
#: Longest part of a file's name that is repeated to whoever uploaded it.
_NAME_CHARS = 100

_ASK = "Upload a video or audio file (MP4, MOV, MKV, WebM, AVI, MPEG-TS, MP3, WAV, Ogg, FLAC or AAC)."


@dataclass(frozen=True)
class Container:
    """A container that we take."""

    #: ffmpeg's short name for what reads it.
    demuxer: str
    #: For people.
    name: str


MP4 = Container("mov", "MP4")
QUICKTIME = Container("mov", "QuickTime")
MATROSKA = Container("matroska", "Matroska")
WEBM = Container("matroska", "WebM")
AVI = Container("avi", "AVI")
MPEGTS = Container("mpegts", "MPEG-TS")
MP3 = Container("mp3", "MP3")
WAV = Container("wav", "WAV")
OGG = Container("ogg", "Ogg")
FLAC = Container("flac", "FLAC")
AAC = Container("aac", "AAC")

#: Top-level boxes that a QuickTime or MP4 file may start with. Source: ISO/IEC 14496-12, Apple QuickTime File Format.
_FIRST_BOXES = frozenset({b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx", b"moof"})
#: Packet lengths of transport streams, and where the sync byte stands in them (192: M2TS with a time code before it).
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))


def sniff(head: bytes) -> Container | None:
    """The container that starts with `head` (HEAD_BYTES of it suffice), or None when we do not take it."""
    return _known(head) or _known(head[_id3_bytes(head) :])


def _known(head: bytes) -> Container | None:
    return _by_magic(head) or _quicktime(head) or _transport_stream(head) or _mpeg_audio(head)


def recognise(source: Path, filename: str | None = None) -> Container:
    """The container of a file. Raises EmptyMedia, UnsupportedMedia or SourceMissing."""
    try:
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
            container = sniff(head) or _behind_id3(file.seek(_id3_bytes(head)), file.read(HEAD_BYTES))
    except OSError as error:
        raise SourceMissing("The uploaded file cannot be found any more.", detail=str(error)) from error
    if not head:
        raise EmptyMedia(f"{_named(filename)} is empty: it has no bytes. Upload it again.")
    if container is None:
        raise UnsupportedMedia(f"{_named(filename)} {_verdict(head, filename)}. {_ASK}")
    return container


def _by_magic(head: bytes) -> Container | None:
    match head[:4], head[8:12]:
        case b"\x1a\x45\xdf\xa3", _:
            return WEBM if b"webm" in head[:64] else MATROSKA
        case b"RIFF", b"AVI ":
            return AVI
        case ((b"RIFF" | b"RF64"), b"WAVE"):
            return WAV
        case b"OggS", _:
            return OGG
        case b"fLaC", _:
            return FLAC
    return None


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
    return MP3 if head[1] & 0xE0 == 0xE0 and layer == 0x02 and bit_rate not in (0, 15) and sample_rate != 3 else None


def _id3_bytes(head: bytes) -> int:
    """Length of an ID3v2 tag: ten bytes and four times seven bits. Source: id3.org, ID3v2.4.0 section 3.1."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _behind_id3(tag_bytes: int, body: bytes) -> Container | None:
    """What follows a tag that is longer than the head, such as one with a cover picture; padding may lie between."""
    return sniff(body.lstrip(b"\0")) if tag_bytes else None


def _named(filename: str | None) -> str:
    if not filename:
        return "The file"
    return f"The file {filename if len(filename) <= _NAME_CHARS else filename[:_NAME_CHARS] + '…'!r}"


def _verdict(head: bytes, filename: str | None) -> str:
    suffix = Path(filename).suffix if filename else ""
    what = "a playlist" if head.lstrip().startswith(b"#EXTM3U") else "text" if _is_text(head) else None
    if what is None:
        return "is not in a media format that can be read here"
    return f"is named {suffix} but holds {what}" if _SUFFIX.fullmatch(suffix) else f"holds {what}"


def _is_text(head: bytes) -> bool:
    try:
        head[:-3].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
