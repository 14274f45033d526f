"""Keys of the object store: which are valid, and what content stands behind them."""

import re
from pathlib import PurePosixPath

#: Characters that no key may have: control characters, halves of letters, and the backslash, a separator elsewhere.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
#: Longest key. Source: S3 object keys, 1,024 bytes of UTF-8.
_MAX_KEY_BYTES = 1024
#: Longest part of a key. Source: NAME_MAX of Linux file systems.
_MAX_PART_BYTES = 255

#: Source: RFC 8216 (m3u8), RFC 9559 and IANA's media types for the rest.
_CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".m4a": "audio/mp4",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".mkv": "video/matroska",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
    ".ts": "video/mp2t",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".aac": "audio/aac",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".vtt": "text/vtt; charset=utf-8",
    ".srt": "application/x-subrip; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}

#: Of everything that is published: a key never changes its content. Private: readers are authorised one by one.
IMMUTABLE = "private, max-age=31536000, immutable"

#: Folders that kinolog itself fills: published by steps, uploaded here, uploaded straight into the bucket.
FOLDERS = ("assets", "uploads", "direct")


class InvalidKey(ValueError):
    """The key cannot name an object; the message says why."""


def checked_key(key: str) -> str:
    """`key`, when it is one: relative, without empty, hidden or climbing parts. Raises InvalidKey."""
    if not key or _FORBIDDEN.search(key) or len(key.encode()) > _MAX_KEY_BYTES:
        raise InvalidKey(f"not a key: {key[:80]!r} is empty, too long or has control characters")
    for part in key.split("/"):
        if not part or part.startswith(".") or len(part.encode()) > _MAX_PART_BYTES:
            raise InvalidKey(f"not a key: {key[:80]!r} has an empty, hidden, climbing or too long part")
    return key


def content_type(key: str) -> str:
    """Media type by suffix; bytes of unknown meaning otherwise."""
    return _CONTENT_TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")
