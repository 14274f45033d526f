"""Bounded decompression of record batches: a few kilobytes may unpack to gigabytes, and the broker accepts them.

aiokafka's own decoders have no bound; a batch that unpacks to more than the memory kills its reader at every start.
"""

import gzip
import io
import mmap
import struct
from collections.abc import Callable, Iterator
from typing import Any

import cramjam
from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records, legacy_records

#: Maximum unpacked size of a batch, bytes. A broker accepts 1 MiB, and JSON shrinks to a twentieth at best.
MAX_UNPACKED_BYTES = 64 * 1024**2

#: Header of the block format of Java's snappy library, bytes. Source: xerial/snappy-java, SnappyCodec.
_XERIAL_HEADER_BYTES = 16

_stock_snappy_decode = codec.snappy_decode


def gzip_decode(payload: Any) -> bytes:
    """Unpack gzip. Raises CorruptRecordException above the bound; OSError, EOFError, zlib.error on damage."""
    with gzip.GzipFile(fileobj=io.BytesIO(payload), mode="rb") as file:
        unpacked = file.read(MAX_UNPACKED_BYTES + 1)
    _require_bounded(len(unpacked))
    return unpacked


def snappy_decode(payload: Any) -> bytes:
    """Unpack raw snappy, or Java's blocks of it. Raises as above; DecompressionError, struct.error on damage."""
    _require_bounded(sum(cramjam.snappy.decompress_raw_len(block) for block in _snappy_blocks(bytes(payload))))
    unpacked: bytes = _stock_snappy_decode(payload)
    return unpacked


def _snappy_blocks(payload: bytes) -> Iterator[bytes]:
    if not codec._detect_xerial_stream(payload):
        yield payload
        return
    start = _XERIAL_HEADER_BYTES
    while start < len(payload):
        [length] = struct.unpack_from("!I", payload, start)
        yield payload[start + 4 : start + 4 + length]
        start += 4 + length


def lz4_decode(payload: Any) -> bytes:
    """Unpack lz4 frames. Raises CorruptRecordException."""
    return _unpacked(cramjam.lz4.decompress_into, payload)


def zstd_decode(payload: Any) -> bytes:
    """Unpack zstd frames. Raises CorruptRecordException."""
    return _unpacked(cramjam.zstd.decompress_into, payload)


def _unpacked(decompress_into: Callable[[Any, Any], int], payload: Any) -> bytes:
    """Decompress into a mapping that uses memory only as far as it is written."""
    with mmap.mmap(-1, MAX_UNPACKED_BYTES) as buffer:
        try:
            return buffer[: decompress_into(payload, buffer)]
        except cramjam.DecompressionError as error:
            raise CorruptRecordException(f"cannot be unpacked within {MAX_UNPACKED_BYTES} bytes: {error}") from error


def _require_bounded(unpacked_bytes: int) -> None:
    if unpacked_bytes > MAX_UNPACKED_BYTES:
        raise CorruptRecordException(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes")


_DECODERS = (gzip_decode, snappy_decode, lz4_decode, zstd_decode)


def install() -> None:
    """Install the decoders for all consumers of this process. Repeating it is harmless."""
    for module in (default_records, legacy_records, *_extensions()):
        for decode in _DECODERS:
            if hasattr(module, decode.__name__):
                setattr(module, decode.__name__, decode)


def _extensions() -> list[Any]:
    """aiokafka's compiled modules, if they are built: they have their own references to the decoders."""
    try:
        from aiokafka.record._crecords import default_records as compiled
        from aiokafka.record._crecords import legacy_records as compiled_legacy
    except ImportError:
        return []
    return [compiled, compiled_legacy]
