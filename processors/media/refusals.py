"""What a refused file is, in words for the person who uploaded it. Pure."""

import re
from pathlib import Path

from processors.media.pictures import picture_name, webp_moves

#: Files that are uploaded by mistake. Source: ISO 32000-1, 7.5.2; PKWARE APPNOTE 4.3.7; RFC 1952.
_NOT_MEDIA = (
    (b"%PDF-", "a document (PDF)"),
    (b"PK\x03\x04", "an archive (ZIP)"),
    (b"Rar!\x1a\x07", "an archive (RAR)"),
    (b"7z\xbc\xaf\x27\x1c", "an archive (7z)"),
    (b"\x1f\x8b\x08", "an archive (gzip)"),
)

#: Video that nothing is around: no times, often a wrong frame rate. Source: ITU-T H.264 and H.265, annex B.
_BARE = (
    (re.compile(rb"\0{2,3}\x01[\x09\x27\x67]"), "H.264"),
    (re.compile(rb"\0{2,3}\x01[\x40\x46]\x01"), "H.265"),
)
#: What a suffix looks like that people know.
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
#: Longest part of a file's name that is repeated to whoever uploaded it.
_NAME_CHARS = 100


def named(filename: str | None) -> str:
    """The file as a message names it."""
    if not filename:
        return "The file"
    return f"The file {filename if len(filename) <= _NAME_CHARS else filename[:_NAME_CHARS] + '…'!r}"


def verdict(head: bytes, filename: str | None) -> str:
    """What a file is that starts with `head` and is not accepted."""
    if webp_moves(head):
        return "is an animated WebP, which cannot be decoded here"
    if picture := picture_name(head):
        return f"is a picture ({picture}), not a video"
    if bare := next((name for start, name in _BARE if start.match(head)), None):
        return (
            f"is {bare} video without a container: nothing in it says when a picture is shown. Put it into MP4 or MKV"
        )
    if other := _other(head):
        return f"is {other}, not a video"
    suffix = Path(filename).suffix if filename else ""
    what = "a playlist" if head.lstrip().startswith(b"#EXTM3U") else "text" if _is_text(head) else None
    if what is None:
        return "is not in a media format that can be read here"
    return f"is named {suffix} but holds {what}" if _SUFFIX.fullmatch(suffix) else f"holds {what}"


def _other(head: bytes) -> str | None:
    return next((name for magic, name in _NOT_MEDIA if head.startswith(magic)), None)


def _is_text(head: bytes) -> bool:
    try:
        head[:-3].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
