"""Headers of the tus resumable upload protocol 1.0.0 and its extensions."""

import base64
import binascii
import hashlib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from streams.ids import ID_PATTERN
from web.http.problems import Problem
from web.http.text_repair import repair_name

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum,concatenation"
#: In tus's order of preference. Source: tus 1.0.0, Checksum: SHA1 is required.
CHECKSUMS = ("sha1", "sha256", "md5")
#: Of every response of the protocol.
HEADERS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}
PATH = "/v1/uploads/tus"
BYTES_TYPE = "application/offset+octet-stream"


class Checksum(NamedTuple):
    """The expected digest of a body."""

    algorithm: str
    digest: bytes


def require_version(request: web.Request) -> None:
    """Raise Problem (412) for another version of the protocol."""
    if request.headers.get("Tus-Resumable") != VERSION:
        raise Problem(412, "tus-version", f"Tus-Resumable must be {VERSION}", {"Tus-Version": VERSION})


async def add_version(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler before a response is sent: errors, too, have the protocol's version."""
    if request.path == PATH or request.path.startswith(f"{PATH}/"):
        response.headers.setdefault("Tus-Resumable", VERSION)


def number_of_bytes(request: web.Request, name: str) -> int:
    """Parse a header with a number of bytes. Raises Problem (400)."""
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Problem(400, "invalid-header", f"{name} must be a number of bytes")
    return int(text)


def announced_size(request: web.Request) -> int | None:
    """Size of a new upload; None where the client will tell it later. Raises Problem (400)."""
    deferred = request.headers.get("Upload-Defer-Length")
    if deferred is None:
        return number_of_bytes(request, "Upload-Length")
    if deferred != "1" or "Upload-Length" in request.headers:
        raise Problem(400, "invalid-header", "Upload-Defer-Length must be 1, without Upload-Length")
    return None


def checksum(request: web.Request) -> Checksum | None:
    """The checksum of the body, if one is given. Raises Problem (400)."""
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, digest = text.partition(" ")
    if algorithm not in CHECKSUMS:
        raise Problem(400, "invalid-header", f"Upload-Checksum must use one of {', '.join(CHECKSUMS)}")
    try:
        raw = base64.b64decode(digest, validate=True)
    except binascii.Error as error:
        raise Problem(400, "invalid-header", "Upload-Checksum must be base64") from error
    if len(raw) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise Problem(400, "invalid-header", f"Upload-Checksum is no {algorithm} digest")
    return Checksum(algorithm, raw)


def concatenation(request: web.Request) -> tuple[str, ...] | None:
    """Ids of the partial uploads that a final one is made of; () for a partial one; None for an ordinary one.

    Raises Problem (400).
    """
    text = request.headers.get("Upload-Concat")
    if text is None or text == "partial":
        return None if text is None else ()
    kind, _, urls = text.partition(";")
    ids = tuple(urlsplit(url).path.rstrip("/").rpartition("/")[2] for url in urls.split())
    if kind != "final" or not ids or not all(map(ID_PATTERN.fullmatch, ids)):
        raise Problem(400, "invalid-header", "Upload-Concat must be partial, or final; and the URLs of partial uploads")
    return ids


def metadata(text: str) -> dict[str, str]:
    """Parse names and base64 values. Raises Problem (400). Source: tus 1.0.0, Upload-Metadata."""
    fields: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(" ")
        try:
            raw = base64.b64decode(value, validate=True)
            fields[name] = repair_name(raw.decode(errors="surrogateescape")) if name == "filename" else raw.decode()
        except ValueError as error:  # not base64, ASCII or UTF-8
            raise Problem(400, "invalid-header", "Upload-Metadata must be UTF-8 in base64") from error
    return {name: Path(value).name if name == "filename" else value for name, value in fields.items()}
