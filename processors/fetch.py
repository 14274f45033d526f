"""Fetches one foreign file over HTTP(S): bounded in place, size, time and speed; resumed where that is safe."""

import asyncio
import contextlib
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from processors.errors import (
    AddressForbidden,
    EmptyMedia,
    InvalidUrl,
    MediaTooLarge,
    ProcessingError,
    SourceMisbehaved,
    SourceMissing,
    SourceRefused,
    SourceTooSlow,
    SourceUnavailable,
    TooManyRedirects,
    UnsupportedMedia,
)
from processors.gate import Gate
from processors.media_kinds import FAMILIES, Family, MediaKind, media_kind
from processors.sniff import HEAD_BYTES
from processors.store import in_thread

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
#: Answers of a server that may do better later. Source: RFC 9110 section 15.6, RFC 6585 section 4, RFC 8470.
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Bytes that are hashed and written at a time, while the next ones come in.
_PIECE_BYTES = 2 * 1024**2
_BUFFER_BYTES = 1024**2
_FIRST_PAUSE_S = 0.5
_UNAVAILABLE = "The server that has the media cannot be reached at the moment."


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """What a download may do and use."""

    #: "host" or "host:port" that may be asked wherever they are.
    allow_hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    max_bytes: int = 20 * 1024**3
    #: For all of it, every try included.
    timeout_s: float = 3600.0
    connect_timeout_s: float = 10.0
    #: Longest silence, and the stretch over which the speed is measured.
    stall_s: float = 20.0
    min_bytes_per_s: int = 1024
    max_redirects: int = 5
    #: Tries within one attempt when the connection breaks.
    tries: int = 3


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


class Fetched(NamedTuple):
    """A file that is here, whole."""

    size_bytes: int
    #: Hex.
    sha256: str
    kind: MediaKind
    validators: Validators


#: Bytes that are here, and bytes in all where that is known.
Heard = Callable[[int, int | None], None]


@dataclass
class _Partial:
    """What is here so far."""

    file: IO[bytes]
    hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    size_bytes: int = 0
    head: bytes = b""
    kind: MediaKind | None = None
    validators: Validators = field(default_factory=Validators)
    #: Length of the whole, where the server said so.
    total_bytes: int | None = None

    def write(self, pieces: list[bytes]) -> None:
        """Blocking."""
        for piece in pieces:
            self.hash.update(piece)
            self.file.write(piece)

    def restart(self) -> None:
        """Blocking."""
        self.file.seek(0)
        self.file.truncate()
        self.hash, self.size_bytes, self.head, self.kind = hashlib.sha256(), 0, b"", None


class _Broken(Exception):
    """The answer broke off; what is here may be continued."""


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
            fetching = _Fetching(self.limits, self._resolver, _Partial(file), families, heard)
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

    def __init__(
        self,
        limits: FetchLimits,
        resolver: AbstractResolver | None,
        partial: _Partial,
        families: tuple[Family, ...],
        heard: Heard,
    ) -> None:
        self._limits, self._resolver, self._partial = limits, resolver, partial
        self._families, self._heard = families, heard
        self._gate = Gate(limits.ports, limits.allow_hosts)

    async def run(self, url: str, known: Validators) -> Fetched | None:
        """Try, and go on where it broke."""
        pause_s = _FIRST_PAUSE_S
        for left in reversed(range(self._limits.tries)):
            try:
                return await self._once(url, known if not self._partial.size_bytes else Validators())
            except _Broken as error:
                if not left:
                    raise SourceUnavailable(_UNAVAILABLE, detail=str(error)) from error
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise SourceUnavailable(_UNAVAILABLE)

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
            async with session.get(url, headers=self._headers(known), allow_redirects=False) as answer:
                if answer.status in _REDIRECTS:
                    text = _target(url, answer.headers.get("Location"))
                    continue
                return await self._take(answer, known)
        raise TooManyRedirects(f"The address leads on more than {self._limits.max_redirects} times.")

    def _headers(self, known: Validators) -> dict[str, str]:
        """Nothing in them is secret, so nothing is lost or leaked on the way to another origin."""
        # Identity: the size that is counted is the size that is kept, and ranges fit together.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "kinolog", **known.conditions()}
        strong = self._partial.validators.strong
        if self._partial.size_bytes and strong:
            headers |= {"Range": f"bytes={self._partial.size_bytes}-", "If-Range": strong}
        return headers

    async def _take(self, answer: aiohttp.ClientResponse, known: Validators) -> Fetched | None:
        if answer.status == 304 and known.conditions():
            return None
        _require_content(answer)
        if answer.status == 206:
            self._require_continuation(answer)
        else:
            await in_thread(self._partial.restart)
            self._partial.validators = Validators(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
            self._partial.total_bytes = answer.content_length
        self._require_size(self._partial.total_bytes or 0)
        await self._receive(answer)
        return self._fetched()

    def _require_continuation(self, answer: aiohttp.ClientResponse) -> None:
        """Accept a part only where it goes on from what is here, of the same version."""
        here, total = self._partial.size_bytes, self._partial.total_bytes
        span, _, whole = answer.headers.get("Content-Range", "").partition("/")
        fits = here and span.startswith(f"bytes {here}-") and whole in ("*", str(total or "*"))
        if not fits or answer.headers.get("ETag") != self._partial.validators.etag:
            raise SourceMisbehaved("The server answered with another part of the file than was asked for.")

    async def _receive(self, answer: aiohttp.ClientResponse) -> None:
        """Hash and write one piece while the next one comes in."""
        writing: asyncio.Future[None] | None = None
        try:
            async for pieces in self._pieces(answer):
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(in_thread(self._partial.write, pieces))
                self._heard(self._partial.size_bytes, self._partial.total_bytes)
        finally:
            if writing is not None:
                await asyncio.wait([writing])
        if writing is not None:
            writing.result()
        self._require_kind(whole=True)

    async def _pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[list[bytes]]:
        waiting: list[bytes] = []
        size, speed = 0, _Speed(self._limits)
        try:
            async for chunk in answer.content.iter_any():
                self._count(chunk)
                speed.require(len(chunk))
                waiting.append(chunk)
                size += len(chunk)
                if size >= _PIECE_BYTES:
                    yield waiting
                    waiting, size = [], 0
        except (aiohttp.ClientError, ConnectionError) as error:
            if waiting:
                yield waiting  # what came counts: it may be continued
                waiting = []
            raise _Broken(str(error) or type(error).__name__) from error
        if waiting:
            yield waiting

    def _count(self, chunk: bytes) -> None:
        partial = self._partial
        partial.size_bytes += len(chunk)
        self._require_size(partial.size_bytes)
        if partial.kind is None:
            partial.head += chunk[: HEAD_BYTES - len(partial.head)]
            if len(partial.head) >= HEAD_BYTES:
                self._require_kind(whole=False)

    def _require_kind(self, *, whole: bool) -> None:
        partial = self._partial
        if partial.kind is not None:
            return
        if whole and not partial.size_bytes:
            raise EmptyMedia("The address gives a file without bytes.")
        partial.kind = media_kind(partial.head)
        if partial.kind is None or partial.kind.family not in self._families:
            raise UnsupportedMedia(
                f"The address does not give {' or '.join(self._families)} in a format that is taken here."
            )

    def _require_size(self, size_bytes: int) -> None:
        most = self._limits.max_bytes
        if size_bytes > most:
            raise MediaTooLarge(f"The file is larger than the {most} bytes that are taken.")

    def _fetched(self) -> Fetched:
        partial = self._partial
        assert partial.kind is not None
        if partial.total_bytes is not None and partial.size_bytes != partial.total_bytes:
            raise _Broken(f"{partial.size_bytes} of {partial.total_bytes} bytes came")
        partial.file.flush()
        return Fetched(partial.size_bytes, partial.hash.hexdigest(), partial.kind, partial.validators)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        """The one place where aiohttp's errors become ours."""
        try:
            yield
        except (ProcessingError, _Broken):
            raise
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise InvalidUrl("The address cannot be understood.", detail=str(error)[:200]) from error
        except aiohttp.SocketTimeoutError as error:
            raise SourceTooSlow("The server fell silent; it will be tried again.") from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
            raise _Broken(str(error)) from error
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
            raise _Broken(str(error)) from error
        raise error  # the disk's


class _Speed:
    """The least speed, over each stretch of time."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = limits
        self._began_at, self._bytes = time.monotonic(), 0

    def require(self, size_bytes: int) -> None:
        """Count what came. Raises SourceTooSlow."""
        self._bytes += size_bytes
        elapsed_s = time.monotonic() - self._began_at
        if elapsed_s < self._limits.stall_s:
            return
        if self._bytes < self._limits.min_bytes_per_s * elapsed_s:
            raise SourceTooSlow(f"The media comes more slowly than {self._limits.min_bytes_per_s} bytes a second.")
        self._began_at, self._bytes = time.monotonic(), 0


def _target(url: URL, location: str | None) -> str:
    if not location:
        raise SourceMisbehaved("The server sends us on without saying where to.")
    try:
        return urljoin(str(url), location)
    except ValueError as error:
        raise InvalidUrl("The server sends us on to an address that cannot be understood.") from error


def _require_content(answer: aiohttp.ClientResponse) -> None:
    """Accept 200 and 206 with plain bytes; what anything else means to the user."""
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
    except (ValueError, TypeError, IndexError):
        return None
