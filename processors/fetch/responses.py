"""What the answers of foreign servers say: versions, refusals, where to go on. Pure."""

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
#: Answers of a server that may do better later. Source: RFC 9110 section 15.6, RFC 6585 section 4, RFC 8470.
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


class Validators(NamedTuple):
    """What tells one version of a file from another. Source: RFC 9110 section 8.8."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def strong(self) -> str | None:
        """The entity tag, where bytes of two answers with it may be put together."""
        return self.etag if self.etag and not self.etag.startswith("W/") else None

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the file only if it has changed."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


def target(url: URL, location: str | None) -> str:
    """Where a redirect of `url` leads. Raises SourceMisbehaved, InvalidUrl."""
    if not location:
        raise SourceMisbehaved("The server sends us on without saying where to.")
    try:
        return urljoin(str(url), location)
    except ValueError as error:
        raise InvalidUrl("The server sends us on to an address that cannot be understood.") from error


def require_content(answer: aiohttp.ClientResponse) -> None:
    """Accept 200 and 206 with plain bytes; raises what anything else means to the user."""
    status = answer.status
    if status in _GONE:
        raise SourceMissing(f"There is nothing at the address (HTTP {status}).")
    if status in _LATER:
        raise SourceUnavailable(
            f"The server that has the media is busy or broken (HTTP {status}); it will be tried again.",
            retry_after_s=retry_after_s(answer.headers, time.time()),
        )
    if status not in (200, 206):
        raise SourceRefused(f"The server does not give the media (HTTP {status}).")
    if answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise SourceMisbehaved("The server packed the media although it was asked not to.")


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the server asks us to wait. Source: RFC 9110 section 10.2.3."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):  # a date of no calendar
        return None
