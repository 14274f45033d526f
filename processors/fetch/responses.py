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
        return urljoin(str(url), location)
    except ValueError as error:
        raise InvalidUrl("The server redirected to a malformed URL.") from error


def require_content(response: aiohttp.ClientResponse) -> None:
    """Accept 200 and 206 with an unencoded body. Raises ProcessingError for anything else."""
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
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise SourceMisbehaved("The server compressed the media although the request forbids it.")


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, by the Retry-After header. Source: RFC 9110 section 10.2.3."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):  # not a valid date
        return None
