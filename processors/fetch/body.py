"""The body of one download: counted and sniffed on arrival, hashed and written in threads shortly after."""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

import aiohttp

from processors.errors import EmptyMedia, MediaTooLarge, SourceTooSlow, UnsupportedMedia
from processors.fetch.content_decoding import Decoder
from processors.fetch.limits import FetchLimits
from processors.fetch.patch_response import unread_bytes
from processors.fetch.responses import Validators
from processors.media.media_types import Family, MediaKind, media_kind
from processors.media.sniff import HEAD_BYTES
from processors.threads import in_thread

#: Size of a batch to hash and write: a thread call costs as much as hashing a hundredth of it.
_BATCH_BYTES = 1024**2
#: Batches that may wait for each thread. With fewer, one waits for the other; memory is at most 2 x 5 batches.
_QUEUED = 4

#: Called with the received bytes, and the total if known.
OnProgress = Callable[[int, int | None], None]


class BrokenConnection(Exception):
    """The connection broke during the response; the download can be continued."""


@dataclass
class Body:
    """The bytes received so far."""

    file: IO[bytes]
    limits: FetchLimits
    families: tuple[Family, ...]
    hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    size_bytes: int = 0
    head: bytes = b""
    kind: MediaKind | None = None
    validators: Validators = field(default_factory=Validators)
    #: Size of the file, if known; not of one that is sent with a content coding.
    total_bytes: int | None = None
    #: Of a body that is sent with a content coding.
    decoder: Decoder | None = None

    def restart(self) -> None:
        """Discard the received bytes. Blocking."""
        self.file.seek(0)
        self.file.truncate()
        self.hash, self.size_bytes, self.head, self.kind = hashlib.sha256(), 0, b"", None

    async def receive(self, response: aiohttp.ClientResponse, on_progress: OnProgress) -> None:
        """Receive the body of `response`. Raises BrokenConnection, ProcessingError, OSError; keeps what it has."""
        # Two threads: hashing takes as long as writing, and they are independent.
        async with _WorkerThread(self._hash) as hashing, _WorkerThread(self.file.writelines) as writing:
            async for batch in self._batches(response):
                await hashing.put(batch)
                await writing.put(batch)
                on_progress(self.size_bytes, self.total_bytes)
        self._require_kind(whole=True)

    def _hash(self, batch: Iterable[bytes]) -> None:
        for chunk in batch:
            self.hash.update(chunk)

    async def _batches(self, response: aiohttp.ClientResponse) -> AsyncIterator[list[bytes]]:
        batch: list[bytes] = []
        size, speed = 0, _Speed(self.limits)
        try:
            async for chunk in self._chunks(response, speed):
                self._count(chunk)
                batch.append(chunk)
                size += len(chunk)
                if size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        except (aiohttp.ClientError, ConnectionError) as error:
            if batch:
                yield batch  # it can be continued
            if self.size_bytes == self.total_bytes:  # more came than was announced
                return
            raise BrokenConnection(str(error) or type(error).__name__) from error
        if batch:
            yield batch

    async def _chunks(self, response: aiohttp.ClientResponse, speed: "_Speed") -> AsyncIterator[bytes]:
        """The body without its content coding."""
        decoder = self.decoder
        async for chunk in _received(response.content):
            speed.require(len(chunk))
            if decoder is None:
                yield chunk
                continue
            pieces = decoder.decode(chunk)
            # In a thread: a few bytes may become many.
            while (piece := await in_thread(next, pieces, None)) is not None:
                if piece:
                    yield piece
        if decoder is not None and not decoder.is_complete:
            raise BrokenConnection("the compressed body ends too early")

    def _count(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        self.require_size(self.size_bytes)
        if self.kind is None:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
            if len(self.head) >= HEAD_BYTES:
                self._require_kind(whole=False)

    def _require_kind(self, *, whole: bool) -> None:
        if self.kind is not None:
            return
        if whole and not self.size_bytes:
            raise EmptyMedia("The URL returned an empty file.")
        self.kind = media_kind(self.head)
        if self.kind is None or self.kind.family not in self.families:
            raise UnsupportedMedia(f"The URL did not return {' or '.join(self.families)} in a supported format.")

    def require_size(self, size_bytes: int) -> None:
        """Check a size. Raises MediaTooLarge."""
        most = self.limits.max_bytes
        if size_bytes > most:
            raise MediaTooLarge(f"The file is larger than the limit of {most} bytes.")


async def _received(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """All bytes that came, also those before an error, which is raised then."""
    try:
        async for chunk in content.iter_any():
            yield chunk
    except (aiohttp.ClientError, ConnectionError):
        if rest := unread_bytes(content):
            yield rest
        raise


class _WorkerThread:
    """A thread that processes batches in order, at most `_QUEUED` behind; on exit all are done."""

    def __init__(self, work: Callable[[list[bytes]], None]) -> None:
        self._work, self._thread = work, ThreadPoolExecutor(1)
        self._pending: deque[asyncio.Future[None]] = deque()

    async def put(self, batch: list[bytes]) -> None:
        """Queue a batch; waits while too many are queued. Raises the error of an earlier batch."""
        if len(self._pending) >= _QUEUED:
            await self._pending.popleft()
        self._pending.append(asyncio.get_running_loop().run_in_executor(self._thread, self._work, batch))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        await in_thread(self._thread.shutdown)
        results = await asyncio.gather(*self._pending, return_exceptions=True)
        # Also in place of BrokenConnection: bytes that were not written cannot be continued.
        if kind is None or issubclass(kind, Exception):
            for error in filter(None, results):
                raise error


class _Speed:
    """Checks the lowest accepted speed over each interval."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = limits
        self._started_at, self._bytes = time.monotonic(), 0

    def require(self, size_bytes: int) -> None:
        """Count received bytes. Raises SourceTooSlow."""
        self._bytes += size_bytes
        elapsed_s = time.monotonic() - self._started_at
        if elapsed_s < self._limits.stall_s:
            return
        if self._bytes < self._limits.min_bytes_per_s * elapsed_s:
            raise SourceTooSlow(f"The media server sends less than {self._limits.min_bytes_per_s} bytes per second.")
        self._started_at, self._bytes = time.monotonic(), 0
