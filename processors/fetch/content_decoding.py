"""Content codings of responses: gzip and br are decoded in steps of bounded size; what is no coding is identity."""

import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli

from processors.errors import SourceMisbehaved

#: Most bytes of one decoded piece: a bomb meets the size limit after the first ones.
_PIECE_BYTES = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
#: Source: RFC 9110 section 8.4.1, IANA's HTTP content codings. Anything else is a charset or a wrong header.
_CODINGS = frozenset({"gzip", "x-gzip", "br", "deflate", "compress", "x-compress", "zstd", "dcb", "dcz", "exi"})


class Decoder(Protocol):
    """Decodes one body. Raises SourceMisbehaved for damaged bytes."""

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Decode the next bytes, in pieces of bounded size."""

    @property
    def is_complete(self) -> bool:
        """Whether the coded body has ended."""


def content_decoder(content_encoding: str) -> Decoder | None:
    """The decoder for a Content-Encoding header; None for plain bytes. Raises SourceMisbehaved for other codings."""
    codings = [name for part in content_encoding.lower().split(",") if (name := part.strip()) in _CODINGS]
    if not codings:
        return None
    if codings in (["gzip"], ["x-gzip"]):
        return Gzip()
    if codings == ["br"]:
        return Brotli()
    raise SourceMisbehaved(
        f"The server compressed the media with {', '.join(codings)[:50]} although it was not asked to."
    )


class Gzip:
    """gzip; plain bytes that are only labelled so are passed on."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._head: bytes | None = b""
        self._is_plain = False

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """See Decoder."""
        data = self._buffered(chunk)
        if self._is_plain:
            yield data
            return
        while data:
            if self._inflate.eof:  # another member follows. Source: RFC 1952 section 2.2
                self._inflate = zlib.decompressobj(wbits=31)
            yield from self._inflated(data)
            data = self._inflate.unused_data

    def _buffered(self, chunk: bytes) -> bytes:
        """The bytes to decode: none until the first two show whether it is gzip."""
        if self._head is None:
            return chunk
        self._head += chunk
        if len(self._head) < len(_GZIP_MAGIC):
            return b""
        data, self._head = self._head, None
        self._is_plain = not data.startswith(_GZIP_MAGIC)
        return data

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        piece = b"x" * _PIECE_BYTES
        while (data or len(piece) == _PIECE_BYTES) and not self._inflate.eof:
            try:
                piece = self._inflate.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise SourceMisbehaved("The server's gzip data is damaged.", detail=str(error)) from error
            data = self._inflate.unconsumed_tail
            if piece:
                yield piece

    @property
    def is_complete(self) -> bool:
        """See Decoder."""
        return self._is_plain or self._inflate.eof


class Brotli:
    """Brotli."""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """See Decoder."""
        try:
            yield self._decompressor.process(chunk, output_buffer_limit=_PIECE_BYTES)
            while not self._decompressor.can_accept_more_data():
                yield self._decompressor.process(b"", output_buffer_limit=_PIECE_BYTES)
        except brotli.error as error:
            raise SourceMisbehaved("The server's brotli data is damaged.", detail=str(error)) from error

    @property
    def is_complete(self) -> bool:
        """See Decoder."""
        return bool(self._decompressor.is_finished())
