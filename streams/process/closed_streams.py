"""Writes to closed connections under uvloop, made the error that asyncio's clients expect: ConnectionResetError.

uvloop raises RuntimeError where asyncio's own transports raise nothing and let the next `drain` fail. Clients such as
aiokafka and redis handle OSError alone, so that a connection that its server has just closed would end their caller.
Source: aio-libs/aiokafka#1038, MagicStack/uvloop#506.
"""

from asyncio import StreamWriter
from collections.abc import Callable, Iterable
from typing import Any

_write, _writelines = StreamWriter.write, StreamWriter.writelines


def _closed_is_reset(writer: StreamWriter, write: Callable[[StreamWriter, Any], None], data: object) -> None:
    try:
        write(writer, data)
    except RuntimeError as error:
        if not writer.is_closing():
            raise
        raise ConnectionResetError("the connection is closed") from error


def write(writer: StreamWriter, data: bytes | bytearray | memoryview) -> None:
    """StreamWriter's `write`; raises ConnectionResetError where the connection is closed."""
    _closed_is_reset(writer, _write, data)


def writelines(writer: StreamWriter, data: Iterable[bytes | bytearray | memoryview]) -> None:
    """StreamWriter's `writelines`; raises ConnectionResetError where the connection is closed."""
    _closed_is_reset(writer, _writelines, data)


def install() -> None:
    """For every stream of this process. Repeating it is harmless."""
    for own in (write, writelines):
        setattr(StreamWriter, own.__name__, own)
