"""Downloads remote files over HTTP(S), within limits of address, size, time and speed; resumes where it is safe."""

import asyncio
import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from processors.errors import (
    AddressForbidden,
    InvalidUrl,
    ProcessingError,
    SourceMisbehaved,
    SourceRefused,
    SourceTooSlow,
    SourceUnavailable,
    TooManyRedirects,
)
from processors.fetch.address_filter import AddressFilter
from processors.fetch.body import Body, BrokenConnection, OnProgress
from processors.fetch.content_decoding import content_decoder
from processors.fetch.limits import FetchLimits
from processors.fetch.patch_response import parse_heads_first
from processors.fetch.responses import (
    MAX_HEADERS_BYTES,
    REDIRECTS,
    Validators,
    is_stale,
    redirect_target,
    require_content,
    size_of_whole,
)
from processors.media.media_types import FAMILIES, Family, MediaKind
from processors.threads import in_thread

#: Read-ahead of aiohttp; up to twice as much is buffered.
_BUFFER_BYTES = 512 * 1024
#: Pause before the second try, with as much jitter; doubles each time.
_PAUSE_S = 0.5
#: Most headers of a response; their size is limited, too.
_MAX_HEADERS = 1024
_SILENT = "The media server stopped sending. The download will be retried."
_UNAVAILABLE = "The media server cannot be reached at the moment."


class Fetched(NamedTuple):
    """A complete download."""

    size_bytes: int
    #: Hex.
    sha256: str
    kind: MediaKind
    validators: Validators


class Fetcher:
    """Downloads files within limits. `resolver`: DNS resolver; the system's by default."""

    def __init__(self, limits: FetchLimits, resolver: AbstractResolver | None = None) -> None:
        self.limits = limits
        self._resolver = resolver

    async def fetch(
        self,
        url: str,
        path: Path,
        *,
        known: Validators = Validators(),  # noqa: B008  immutable
        families: tuple[Family, ...] = FAMILIES,
        on_progress: OnProgress = lambda *_: None,
    ) -> Fetched | None:
        """Download `url` to `path`; None if it still is the version `known`. Raises ProcessingError.

        A cancelled or failed download may leave a partial file.
        """
        with await asyncio.to_thread(_opened, path) as file:
            fetching = _Fetching(self.limits, self._resolver, Body(file, self.limits, families), on_progress)
            try:
                async with asyncio.timeout(self.limits.timeout_s):
                    return await fetching.run(url, known)
            except TimeoutError as error:
                raise SourceTooSlow(
                    f"The download took more than {self.limits.timeout_s:g} s. It will be retried."
                ) from error


def _opened(path: Path) -> IO[bytes]:
    return path.open("wb")


class _StaleRange(Exception):
    """The server does not continue the received part: it is discarded, and the file requested whole."""


class _Fetching:
    """One download."""

    def __init__(
        self, limits: FetchLimits, resolver: AbstractResolver | None, body: Body, on_progress: OnProgress
    ) -> None:
        self._limits, self._resolver, self._body, self._on_progress = limits, resolver, body, on_progress
        self._filter = AddressFilter(limits.ports, limits.allowed_hosts)
        self._cookies = aiohttp.CookieJar(unsafe=True)  # also for hosts that are IP addresses

    async def run(self, url: str, known: Validators) -> Fetched | None:
        """Download, and continue where a connection broke: any number of times while more of the file comes."""
        tries, furthest = 0, 0
        while True:
            try:
                return await self._once_or_anew(url, known)
            except BrokenConnection as error:
                tries = 1 if self._has_advanced(furthest) else tries + 1
                furthest = max(furthest, self._body.size_bytes)
                if tries >= self._limits.tries:
                    raise SourceUnavailable(_UNAVAILABLE, detail=str(error)) from error
            await asyncio.sleep(_PAUSE_S * 2 ** (tries - 1) * random.uniform(1, 2))  # noqa: S311  jitter

    def _has_advanced(self, furthest: int) -> bool:
        """Whether more of the file has come than ever before, and will not have to come again."""
        advance = self._body.size_bytes - furthest
        return self._body.validators.strong is not None and advance >= self._limits.min_bytes_per_s

    async def _once_or_anew(self, url: str, known: Validators) -> Fetched | None:
        try:
            return await self._once(url, known if not self._body.size_bytes else Validators())
        except _StaleRange:
            await self._discard()
            return await self._once(url, known)

    async def _discard(self) -> None:
        await in_thread(self._body.restart)
        self._body.validators, self._body.total_bytes = Validators(), None

    async def _once(self, url: str, known: Validators) -> Fetched | None:
        # One session for each try: connections are not shared. Cookies are kept for this download only.
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._limits.connect_timeout_s, sock_read=self._limits.stall_s
        )
        connector = aiohttp.TCPConnector(
            socket_factory=self._filter.make_socket,
            resolver=self._resolver,
            use_dns_cache=False,
            force_close=True,
            family=socket.AF_UNSPEC,
        )
        parse_heads_first(connector)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=self._cookies,
            read_bufsize=_BUFFER_BYTES,
            max_line_size=MAX_HEADERS_BYTES,
            max_field_size=MAX_HEADERS_BYTES,
            max_headers=_MAX_HEADERS,
        ) as session:
            with self._mapped():
                return await self._follow(session, url, known)

    async def _follow(self, session: aiohttp.ClientSession, text: str, known: Validators) -> Fetched | None:
        for _ in range(self._limits.max_redirects + 1):
            url = self._filter.allow(text)
            async with await self._request(session, url, known) as response:
                if response.status in REDIRECTS:
                    text = redirect_target(url, response.headers.get("Location"))
                    continue
                return await self._receive(response, known)
        raise TooManyRedirects(f"The URL redirects more than {self._limits.max_redirects} times.")

    async def _request(self, session: aiohttp.ClientSession, url: URL, known: Validators) -> aiohttp.ClientResponse:
        """The response, its body unread. The timeout covers slow headers too: aiohttp restarts its own at each read."""
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s + self._limits.stall_s):
                return await session.get(url, headers=self._headers(url, known), allow_redirects=False)
        except TimeoutError as error:
            if isinstance(error, aiohttp.ClientError):
                raise
            raise SourceTooSlow(_SILENT) from error

    def _headers(self, url: URL, known: Validators) -> dict[str, str]:
        """Request headers; those of the settings go to their host only, so a redirect to another one leaks none."""
        # Identity: the counted size is the stored size, and ranges are consistent.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "kinolog", **known.conditions()}
        headers |= self._limits.headers_of(url.host or "")
        strong = self._body.validators.strong
        if self._body.size_bytes and strong:
            headers |= {"Range": f"bytes={self._body.size_bytes}-", "If-Range": strong}
        return headers

    async def _receive(self, response: aiohttp.ClientResponse, known: Validators) -> Fetched | None:
        if response.status == 304 and known.conditions():
            return None
        body, is_rest = self._body, "Range" in response.request_info.headers
        if is_rest and is_stale(response, body.size_bytes, body.validators, body.total_bytes):
            raise _StaleRange
        require_content(response)
        if not is_rest or response.status != 206:
            await self._begin(response)
        self._body.require_size(self._body.total_bytes or 0)
        await self._body.receive(response, self._on_progress)
        return self._fetched()

    async def _begin(self, response: aiohttp.ClientResponse) -> None:
        """Note what the response says of the file, whose first byte is the next one."""
        body = self._body
        await in_thread(body.restart)
        body.decoder = content_decoder(response.headers.get("Content-Encoding", ""))
        body.validators, body.total_bytes = Validators(), None
        if body.decoder is None:  # offsets are those of the file
            body.validators = Validators(response.headers.get("ETag"), response.headers.get("Last-Modified"))
            body.total_bytes = size_of_whole(response)

    def _fetched(self) -> Fetched:
        body = self._body
        assert body.kind is not None
        if body.total_bytes is not None and body.size_bytes != body.total_bytes:
            raise BrokenConnection(f"{body.size_bytes} of {body.total_bytes} bytes received")
        body.file.flush()
        return Fetched(body.size_bytes, body.hash.hexdigest(), body.kind, body.validators)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        """Map aiohttp's errors to ProcessingError."""
        try:
            yield
        except (ProcessingError, BrokenConnection, _StaleRange):
            raise
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise InvalidUrl("The URL is malformed.", detail=str(error)[:200]) from error
        except aiohttp.SocketTimeoutError as error:
            raise SourceTooSlow(_SILENT) from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
            raise BrokenConnection(str(error)) from error
        except aiohttp.ClientResponseError as error:
            raise SourceMisbehaved(
                "The server's response is not valid HTTP.", detail=str(error.message)[:200]
            ) from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise SourceRefused("The server's TLS certificate is not valid.", detail=str(error)[:200]) from error
        except (aiohttp.ClientError, OSError) as error:
            self._raise_mapped(error)

    def _raise_mapped(self, error: Exception) -> None:
        if self._filter.denied is not None:
            raise AddressForbidden(
                "The URL leads to an address that downloads must not reach.", detail=self._filter.denied
            ) from error
        if isinstance(error, aiohttp.ClientError | ConnectionError):
            raise BrokenConnection(str(error)) from error
        raise error  # of the disk
