"""What kinds of media are taken from outside, told by their first bytes. Neither a name nor a header is believed."""

from typing import Literal, NamedTuple

from processors.media.containers import (
    AAC,
    AC3,
    AIFF,
    AMR,
    ASF,
    AU,
    AVI,
    CAF,
    DV,
    EAC3,
    FLAC,
    FLV,
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
from processors.media.sniff import sniff

Family = Literal["video", "audio", "image"]
FAMILIES: tuple[Family, ...] = ("video", "audio", "image")


class MediaKind(NamedTuple):
    """One kind. A container of video may hold sound only."""

    name: str
    family: Family
    #: With its dot.
    suffix: str


_CONTAINERS: dict[Container, MediaKind] = {
    MP4: MediaKind("MP4", "video", ".mp4"),
    QUICKTIME: MediaKind("QuickTime", "video", ".mov"),
    MATROSKA: MediaKind("Matroska", "video", ".mkv"),
    WEBM: MediaKind("WebM", "video", ".webm"),
    AVI: MediaKind("AVI", "video", ".avi"),
    MPEGTS: MediaKind("MPEG-TS", "video", ".ts"),
    MP3: MediaKind("MP3", "audio", ".mp3"),
    WAV: MediaKind("WAV", "audio", ".wav"),
    OGG: MediaKind("Ogg", "audio", ".ogg"),
    FLAC: MediaKind("FLAC", "audio", ".flac"),
    AAC: MediaKind("AAC", "audio", ".aac"),
    MPEG: MediaKind("MPEG-PS", "video", ".mpg"),
    ASF: MediaKind("Windows Media", "video", ".wmv"),
    FLV: MediaKind("Flash Video", "video", ".flv"),
    DV: MediaKind("DV", "video", ".dv"),
    AIFF: MediaKind("AIFF", "audio", ".aiff"),
    CAF: MediaKind("Core Audio", "audio", ".caf"),
    AC3: MediaKind("AC-3", "audio", ".ac3"),
    EAC3: MediaKind("E-AC-3", "audio", ".eac3"),
    WAVE64: MediaKind("Wave64", "audio", ".w64"),
    AU: MediaKind("AU", "audio", ".au"),
    AMR: MediaKind("AMR", "audio", ".amr"),
    MP2: MediaKind("MPEG audio", "audio", ".mp2"),
    MXF: MediaKind("MXF", "video", ".mxf"),
    REAL: MediaKind("RealMedia", "video", ".rm"),
    WAVPACK: MediaKind("WavPack", "audio", ".wv"),
    TRUE_AUDIO: MediaKind("True Audio", "audio", ".tta"),
}
_AVIF = MediaKind("AVIF", "image", ".avif")
_HEIC = MediaKind("HEIC", "image", ".heic")
#: Major brands of pictures in the container that video has too. Source: ISO/IEC 23008-12, AV1 Image File Format.
_PICTURE_BRANDS = {b"avif": _AVIF, b"avis": _AVIF, b"heic": _HEIC, b"heix": _HEIC, b"mif1": _HEIC, b"msf1": _HEIC}
#: Source: ISO/IEC 10918-1, the PNG specification section 5.2, GIF89a.
_SIGNATURES = (
    (b"\xff\xd8\xff", MediaKind("JPEG", "image", ".jpg")),
    (b"\x89PNG\r\n\x1a\n", MediaKind("PNG", "image", ".png")),
    (b"GIF87a", MediaKind("GIF", "image", ".gif")),
    (b"GIF89a", MediaKind("GIF", "image", ".gif")),
)
_WEBP = MediaKind("WebP", "image", ".webp")


def media_kind(head: bytes) -> MediaKind | None:
    """The kind that starts with `head` (sniff.HEAD_BYTES of it suffice); None: nothing that is taken."""
    return _picture(head) or _CONTAINERS.get(sniff(head) or _tagged(head))  # type: ignore[arg-type] # None is no key


def _picture(head: bytes) -> MediaKind | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _WEBP
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return _PICTURE_BRANDS[head[8:12]]
    return next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), None)


def _tagged(head: bytes) -> Container | None:
    """A long ID3 tag hides what follows; it is put before MP3. Whoever reads the media looks behind it."""
    return MP3 if head.startswith(b"ID3") else None
