"""The protocol of model processes: length-prefixed MessagePack over stdin and stdout."""

import struct
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, Protocol

import msgspec

from schemas.base import Json

_LENGTH = struct.Struct(">I")
LENGTH_BYTES = _LENGTH.size
#: Longest frame. Vectors of 100,000 passages with 384 dimensions are 154 MB; longer data belongs in files.
MAX_FRAME_BYTES = 512 * 1024**2

#: start -> ready or failed; ask -> partial … -> answer or failed.
Kind = Literal["start", "ready", "ask", "partial", "answer", "failed"]
#: Sends a part of the response as soon as it is available.
SendPartial = Callable[[Json], None]


class Frame(msgspec.Struct, frozen=True):
    """One message."""

    kind: Kind
    #: Plain values; bytes stay bytes.
    body: dict[str, Any]


class Model(Protocol):
    """A loaded model."""

    def run(self, request: Json, send_partial: SendPartial) -> Json:
        """The response to one request; parts of it may be sent before. Plain values and bytes."""
        ...


#: Loads a model. Given as "package.module:function"; called once, in the model's process, with the options.
Loader = Callable[[Json], Model]

_decoder = msgspec.msgpack.Decoder(Frame)


class InvalidFrame(Exception):
    """The peer violates the protocol."""


def encode(kind: Kind, body: Json) -> bytes:
    """Encode a frame with its length prefix. Raises InvalidFrame if it is too long."""
    content = msgspec.msgpack.encode(Frame(kind, body))
    if len(content) > MAX_FRAME_BYTES:
        raise InvalidFrame(f"frame of {len(content)} bytes exceeds {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(content)) + content


def length_of(prefix: bytes) -> int:
    """Decode a length prefix. Raises InvalidFrame."""
    (length,) = _LENGTH.unpack(prefix)
    if length > MAX_FRAME_BYTES:
        raise InvalidFrame(f"frame of {length} bytes exceeds {MAX_FRAME_BYTES}")
    return int(length)


def decode(content: bytes) -> Frame:
    """Decode a frame without its length prefix. Raises InvalidFrame."""
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFrame(str(error)) from error


def read_frame(pipe: BinaryIO) -> Frame | None:
    """The next frame of a blocking pipe; None at its end. Raises InvalidFrame."""
    prefix = pipe.read(LENGTH_BYTES)
    if not prefix:
        return None
    content = pipe.read(length_of(prefix))
    return decode(content)


def write_frame(pipe: BinaryIO, kind: Kind, body: Json) -> None:
    """Write a frame to a blocking pipe, and flush it."""
    pipe.write(encode(kind, body))
    pipe.flush()
