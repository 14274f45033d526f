"""HTTP responses of remote servers: validators, errors and redirects. Pure."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from processors.errors import InvalidUrl, SourceMisbehaved, SourceMissing, SourceRefused, SourceUnavailable

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
#: Answers of servers and caches to a range that they do not have, or a request that is not the one that was signed.
_NO_RANGE = frozenset({400, 403, 412, 416})
#: Largest total of a response's headers.
MAX_HEADERS_BYTES = 64 * 1024
#: Temporary errors. Source: RFC 9110 section 15.6, RFC 6585 section 4, RFC 8470.
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


class Validators(NamedTuple):
    """HTTP validators of one version of a file. Source: RFC 9110 section 8.8."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def strong(self) -> str | None:
        """The entity tag if it is strong: only then can ranges of two responses be combined."""
        return self.etag if self.etag and not self.etag.startswith("W/") else None

    def conditions(self) -> dict[str, str]:
        """Headers of a conditional request."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


def redirect_target(url: URL, location: str | None) -> str:
    """The URL that a redirect of `url` leads to. Raises SourceMisbehaved, InvalidUrl."""
    if not location:
        raise SourceMisbehaved("The server redirected without a Location.")
    try:
        return urljoin(str(url), _escaped(location))
    except ValueError as error:
        raise InvalidUrl("The server redirected to a malformed URL.") from error


def _escaped(location: str) -> str:
    """A Location as browsers read it: spaces around it and line breaks do not count, other bytes are percent-encoded.

    Source: Fetch Standard, location URL; URL Standard, section 4.4. Chromium escapes the bytes that are not ASCII.
    """
    raw = location.strip().encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in raw if byte not in b"\t\r\n")


def is_stale(response: aiohttp.ClientResponse, received: int, known: Validators, total: int | None) -> bool:
    """Whether the response to a request for the rest of a file cannot continue the `received` bytes of it."""
    if response.status in _NO_RANGE:
        return True
    if response.status != 206:
        return False
    span, _, whole = response.headers.get("Content-Range", "").partition("/")
    fits = span.strip().startswith(f"bytes {received}-") and whole.strip() in ("*", str(total or "*"))
    return not fits or response.headers.get("ETag") != known.etag


def size_of_whole(response: aiohttp.ClientResponse) -> int | None:
    """Size of the file whose first bytes this response has; None if unknown."""
    whole = response.headers.get("Content-Range", "").rpartition("/")[2].strip()
    if response.status == 206 and whole.isascii() and whole.isdigit():
        return int(whole[:18])
    return response.content_length


def require_content(response: aiohttp.ClientResponse) -> None:
    """Accept 200 and 206. Raises ProcessingError for anything else."""
    status = response.status
    if status in _GONE:
        raise SourceMissing(f"The URL does not exist (HTTP {status}).")
    if status in _LATER:
        raise SourceUnavailable(
            f"The media server is busy or failing (HTTP {status}). The download will be retried.",
            retry_after_s=retry_after_s(response.headers, time.time()),
        )
    if status not in (200, 206):
        raise SourceRefused(f"The media server refused the request (HTTP {status}).")
    size_bytes = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
    if size_bytes > MAX_HEADERS_BYTES:
        raise SourceMisbehaved(f"The server sent {size_bytes} bytes of headers; the limit is {MAX_HEADERS_BYTES}.")


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, by the Retry-After header. Source: RFC 9110 section 10.2.3."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):  # not a valid date
        return None
