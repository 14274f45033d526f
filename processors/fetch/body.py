"""The body of one download: counted and sniffed as it comes, hashed and written in threads a little behind."""

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
from processors.fetch.limits import FetchLimits
from processors.fetch.responses import Validators
from processors.media.media_types import Family, MediaKind, media_kind
from processors.media.sniff import HEAD_BYTES
from processors.threads import in_thread

#: Bytes that are hashed and written at a time: a call into a thread costs as much as hashing a hundredth of them.
_PIECE_BYTES = 1024**2
#: Pieces that may wait for each thread. With fewer, one waits for the other; memory is 2 x 5 pieces at the most.
_AHEAD = 4

#: Bytes that are here, and bytes in all where that is known.
Heard = Callable[[int, int | None], None]


class Broken(Exception):
    """The answer broke off; what is here may be continued."""


@dataclass
class Body:
    """What is here so far."""

    file: IO[bytes]
    limits: FetchLimits
    families: tuple[Family, ...]
    hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    size_bytes: int = 0
    head: bytes = b""
    kind: MediaKind | None = None
    validators: Validators = field(default_factory=Validators)
    #: Length of the whole, where the server said so.
    total_bytes: int | None = None

    def restart(self) -> None:
        """Forget what is here. Blocking."""
        self.file.seek(0)
        self.file.truncate()
        self.hash, self.size_bytes, self.head, self.kind = hashlib.sha256(), 0, b"", None

    async def receive(self, answer: aiohttp.ClientResponse, heard: Heard) -> None:
        """Take in what `answer` sends. Raises Broken, ProcessingError, OSError; what came until then is here."""
        # Two threads: hashing takes as long as writing, and neither needs the other.
        async with _Lane(self._hash) as hashing, _Lane(self.file.writelines) as writing:
            async for pieces in self._pieces(answer):
                await hashing.put(pieces)
                await writing.put(pieces)
                heard(self.size_bytes, self.total_bytes)
        self._require_kind(whole=True)

    def _hash(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.hash.update(piece)

    async def _pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[list[bytes]]:
        waiting: list[bytes] = []
        size, speed = 0, _Speed(self.limits)
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
            raise Broken(str(error) or type(error).__name__) from error
        if waiting:
            yield waiting

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
            raise EmptyMedia("The address gives a file without bytes.")
        self.kind = media_kind(self.head)
        if self.kind is None or self.kind.family not in self.families:
            raise UnsupportedMedia(
                f"The address does not give {' or '.join(self.families)} in a format that is taken here."
            )

    def require_size(self, size_bytes: int) -> None:
        """Raises MediaTooLarge."""
        most = self.limits.max_bytes
        if size_bytes > most:
            raise MediaTooLarge(f"The file is larger than the {most} bytes that are taken.")


class _Lane:
    """Blocking work on one thing after another, in a thread of its own, at most `_AHEAD` behind; ends with all done."""

    def __init__(self, work: Callable[[list[bytes]], None]) -> None:
        self._work, self._thread = work, ThreadPoolExecutor(1)
        self._behind: deque[asyncio.Future[None]] = deque()

    async def put(self, pieces: list[bytes]) -> None:
        """Have it worked on; waits while too much does. Raises what went wrong with an earlier one."""
        if len(self._behind) >= _AHEAD:
            await self._behind.popleft()
        self._behind.append(asyncio.get_running_loop().run_in_executor(self._thread, self._work, pieces))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        await in_thread(self._thread.shutdown)
        ended = await asyncio.gather(*self._behind, return_exceptions=True)
        # Also in place of Broken: what is not on the disk is not continued.
        if kind is None or issubclass(kind, Exception):
            for error in filter(None, ended):
                raise error


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
