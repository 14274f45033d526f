"""Downloads remote files over HTTP(S), within limits of address, size, time and speed; resumes where it is safe."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import aiohttp
import stamina
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
from processors.fetch.limits import FetchLimits
from processors.fetch.responses import REDIRECTS, Validators, redirect_target, require_content
from processors.media.media_types import FAMILIES, Family, MediaKind
from processors.threads import in_thread

#: Read-ahead of aiohttp; up to twice as much is buffered.
_BUFFER_BYTES = 512 * 1024
#: Pause before the second try, with as much jitter; doubles each time.
_PAUSE_S = 0.5
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


class _Fetching:
    """One download."""

    def __init__(
        self, limits: FetchLimits, resolver: AbstractResolver | None, body: Body, on_progress: OnProgress
    ) -> None:
        self._limits, self._resolver, self._body, self._on_progress = limits, resolver, body, on_progress
        self._filter = AddressFilter(limits.ports, limits.allowed_hosts)

    async def run(self, url: str, known: Validators) -> Fetched | None:
        """Download, and continue where a connection broke."""
        retries = stamina.retry_context(
            on=BrokenConnection, attempts=self._limits.tries, timeout=None, wait_initial=_PAUSE_S, wait_jitter=_PAUSE_S
        )
        fetched = None
        try:
            async for attempt in retries:
                with attempt:
                    fetched = await self._once(url, known if not self._body.size_bytes else Validators())
        except BrokenConnection as error:
            raise SourceUnavailable(_UNAVAILABLE, detail=str(error)) from error
        return fetched

    async def _once(self, url: str, known: Validators) -> Fetched | None:
        # One session for each try: nothing of one origin (cookies, connections) is there for the next one.
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
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_BUFFER_BYTES,
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
                return await session.get(url, headers=self._headers(known), allow_redirects=False)
        except TimeoutError as error:
            if isinstance(error, aiohttp.ClientError):
                raise
            raise SourceTooSlow(_SILENT) from error

    def _headers(self, known: Validators) -> dict[str, str]:
        """Request headers: without secrets, so a redirect to another origin leaks none."""
        # Identity: the counted size is the stored size, and ranges are consistent.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "kinolog", **known.conditions()}
        strong = self._body.validators.strong
        if self._body.size_bytes and strong:
            headers |= {"Range": f"bytes={self._body.size_bytes}-", "If-Range": strong}
        return headers

    async def _receive(self, response: aiohttp.ClientResponse, known: Validators) -> Fetched | None:
        if response.status == 304 and known.conditions():
            return None
        require_content(response)
        if response.status == 206:
            self._require_continuation(response)
        else:
            await in_thread(self._body.restart)
            self._body.validators = Validators(response.headers.get("ETag"), response.headers.get("Last-Modified"))
            self._body.total_bytes = response.content_length
        self._body.require_size(self._body.total_bytes or 0)
        await self._body.receive(response, self._on_progress)
        return self._fetched()

    def _require_continuation(self, response: aiohttp.ClientResponse) -> None:
        """Accept a range only if it continues the received bytes of the same version."""
        received, total = self._body.size_bytes, self._body.total_bytes
        span, _, whole = response.headers.get("Content-Range", "").partition("/")
        fits = received and span.startswith(f"bytes {received}-") and whole in ("*", str(total or "*"))
        if not fits or response.headers.get("ETag") != self._body.validators.etag:
            raise SourceMisbehaved("The server sent another range of the file than requested.")

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
        except (ProcessingError, BrokenConnection):
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
