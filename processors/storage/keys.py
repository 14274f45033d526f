"""Keys of the object store: validation, and content types by extension."""

import re
from pathlib import PurePosixPath

#: Forbidden characters: control characters, surrogates, and the backslash, a separator on other systems.
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

#: Cache-Control of all objects: the content of a key never changes. Private: each reader is authorised.
IMMUTABLE = "private, max-age=31536000, immutable"

#: Folders that kinolog manages: published by steps, uploaded to web, uploaded to the bucket directly.
FOLDERS = ("assets", "uploads", "direct")
#: Key of the owner mark, outside these folders, see owner_mark.
OWNER_KEY = "kinolog-owner.json"


class InvalidKey(ValueError):
    """The key is invalid; the message says why."""


def checked_key(key: str) -> str:
    """Return `key` if it is valid: relative, without empty, hidden or `..` parts. Raises InvalidKey."""
    if not key or _FORBIDDEN.search(key) or len(key.encode()) > _MAX_KEY_BYTES:
        raise InvalidKey(f"invalid key {key[:80]!r}: empty, too long, or with control characters")
    for part in key.split("/"):
        if not part or part.startswith(".") or len(part.encode()) > _MAX_PART_BYTES:
            raise InvalidKey(f"invalid key {key[:80]!r}: a part is empty, hidden, '..' or too long")
    return key


def content_type(key: str) -> str:
    """Media type by extension; application/octet-stream if unknown."""
    return _CONTENT_TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")
