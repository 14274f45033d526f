"""Fetches one foreign file over HTTP(S): bounded in place, size, time and speed; resumed where that is safe."""

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
from processors.fetch.body import Body, Broken, Heard
from processors.fetch.limits import FetchLimits
from processors.fetch.responses import REDIRECTS, Validators, require_content, target
from processors.media.media_types import FAMILIES, Family, MediaKind
from processors.threads import in_thread

#: What aiohttp reads ahead; twice as much may be there.
_BUFFER_BYTES = 512 * 1024
#: Pause before the second try, with as much jitter; doubles each time.
_PAUSE_S = 0.5
_SILENT = "The server fell silent; it will be tried again."
_UNAVAILABLE = "The server that has the media cannot be reached at the moment."


class Fetched(NamedTuple):
    """A file that is here, whole."""

    size_bytes: int
    #: Hex.
    sha256: str
    kind: MediaKind
    validators: Validators


class Fetcher:
    """Downloads within limits. `resolver` answers for names; the system's own otherwise."""

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
        heard: Heard = lambda *_: None,
    ) -> Fetched | None:
        """Write what `url` gives to `path`; None when it is what `known` says. Raises ProcessingError.

        Cancelled or failed it may leave a part at `path`.
        """
        with await asyncio.to_thread(_opened, path) as file:
            fetching = _Fetching(self.limits, self._resolver, Body(file, self.limits, families), heard)
            try:
                async with asyncio.timeout(self.limits.timeout_s):
                    return await fetching.run(url, known)
            except TimeoutError as error:
                raise SourceTooSlow(
                    f"The media did not come within {self.limits.timeout_s:g} s; it will be tried again."
                ) from error


def _opened(path: Path) -> IO[bytes]:
    return path.open("wb")


class _Fetching:
    """One download."""

    def __init__(self, limits: FetchLimits, resolver: AbstractResolver | None, body: Body, heard: Heard) -> None:
        self._limits, self._resolver, self._body, self._heard = limits, resolver, body, heard
        self._gate = AddressFilter(limits.ports, limits.allowed_hosts)

    async def run(self, url: str, known: Validators) -> Fetched | None:
        """Download, and continue where a connection broke."""
        retries = stamina.retry_context(
            on=Broken, attempts=self._limits.tries, timeout=None, wait_initial=_PAUSE_S, wait_jitter=_PAUSE_S
        )
        fetched = None
        try:
            async for attempt in retries:
                with attempt:
                    fetched = await self._once(url, known if not self._body.size_bytes else Validators())
        except Broken as error:
            raise SourceUnavailable(_UNAVAILABLE, detail=str(error)) from error
        return fetched

    async def _once(self, url: str, known: Validators) -> Fetched | None:
        # One session for each try: nothing of one origin (cookies, connections) is there for the next one.
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._limits.connect_timeout_s, sock_read=self._limits.stall_s
        )
        connector = aiohttp.TCPConnector(
            socket_factory=self._gate.make_socket,
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
            url = self._gate.enter(text)
            async with await self._ask(session, url, known) as answer:
                if answer.status in REDIRECTS:
                    text = target(url, answer.headers.get("Location"))
                    continue
                return await self._take(answer, known)
        raise TooManyRedirects(f"The address leads on more than {self._limits.max_redirects} times.")

    async def _ask(self, session: aiohttp.ClientSession, url: URL, known: Validators) -> aiohttp.ClientResponse:
        """The answer, its body unread. A header that comes byte by byte is silence too: aiohttp counts each read."""
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s + self._limits.stall_s):
                return await session.get(url, headers=self._headers(known), allow_redirects=False)
        except TimeoutError as error:
            if isinstance(error, aiohttp.ClientError):
                raise
            raise SourceTooSlow(_SILENT) from error

    def _headers(self, known: Validators) -> dict[str, str]:
        """Nothing in them is secret, so nothing is lost or leaked on the way to another origin."""
        # Identity: the size that is counted is the size that is kept, and ranges fit together.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "kinolog", **known.conditions()}
        strong = self._body.validators.strong
        if self._body.size_bytes and strong:
            headers |= {"Range": f"bytes={self._body.size_bytes}-", "If-Range": strong}
        return headers

    async def _take(self, answer: aiohttp.ClientResponse, known: Validators) -> Fetched | None:
        if answer.status == 304 and known.conditions():
            return None
        require_content(answer)
        if answer.status == 206:
            self._require_continuation(answer)
        else:
            await in_thread(self._body.restart)
            self._body.validators = Validators(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
            self._body.total_bytes = answer.content_length
        self._body.require_size(self._body.total_bytes or 0)
        await self._body.receive(answer, self._heard)
        return self._fetched()

    def _require_continuation(self, answer: aiohttp.ClientResponse) -> None:
        """Accept a part only where it goes on from what is here, of the same version."""
        here, total = self._body.size_bytes, self._body.total_bytes
        span, _, whole = answer.headers.get("Content-Range", "").partition("/")
        fits = here and span.startswith(f"bytes {here}-") and whole in ("*", str(total or "*"))
        if not fits or answer.headers.get("ETag") != self._body.validators.etag:
            raise SourceMisbehaved("The server answered with another part of the file than was asked for.")

    def _fetched(self) -> Fetched:
        body = self._body
        assert body.kind is not None
        if body.total_bytes is not None and body.size_bytes != body.total_bytes:
            raise Broken(f"{body.size_bytes} of {body.total_bytes} bytes came")
        body.file.flush()
        return Fetched(body.size_bytes, body.hash.hexdigest(), body.kind, body.validators)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        """The one place where aiohttp's errors become ours."""
        try:
            yield
        except (ProcessingError, Broken):
            raise
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise InvalidUrl("The address cannot be understood.", detail=str(error)[:200]) from error
        except aiohttp.SocketTimeoutError as error:
            raise SourceTooSlow(_SILENT) from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
            raise Broken(str(error)) from error
        except aiohttp.ClientResponseError as error:
            raise SourceMisbehaved(
                "The server's answer is not understandable HTTP.", detail=str(error.message)[:200]
            ) from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise SourceRefused("The server cannot prove who it is (TLS).", detail=str(error)[:200]) from error
        except (aiohttp.ClientError, OSError) as error:
            self._explain(error)

    def _explain(self, error: Exception) -> None:
        if self._gate.denied is not None:
            raise AddressForbidden(
                "The address leads to a place that downloads must not reach.", detail=self._gate.denied
            ) from error
        if isinstance(error, aiohttp.ClientError | ConnectionError):
            raise Broken(str(error)) from error
        raise error  # the disk's
