"""How we and a model's process speak: length-prefixed MessagePack over its stdin and stdout."""

import struct
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, Protocol

import msgspec

from schemas.base import Json

_LENGTH = struct.Struct(">I")
LENGTH_BYTES = _LENGTH.size
#: Longest frame. Vectors of 100,000 passages with 384 dimensions are 154 MB; longer things belong into files.
MAX_FRAME_BYTES = 512 * 1024**2

#: start -> ready or failed; ask -> partial … -> answer or failed.
Kind = Literal["start", "ready", "ask", "partial", "answer", "failed"]
#: Hands a part of the answer on as soon as it is there.
Tell = Callable[[Json], None]


class Frame(msgspec.Struct, frozen=True):
    """One message."""

    kind: Kind
    #: Plain values; bytes stay bytes.
    body: dict[str, Any]


class Model(Protocol):
    """What a loader gives: a model that is ready."""

    def answer(self, request: Json, tell: Tell) -> Json:
        """The whole answer to one request; parts of it may be told before. Plain values and bytes."""
        ...


#: Loads a model. Named as "package.module:function"; called once, in the model's process, with the options.
Loader = Callable[[Json], Model]

_decoder = msgspec.msgpack.Decoder(Frame)


class InvalidFrame(Exception):
    """The other side does not speak this protocol, or not any more."""


def encode(kind: Kind, body: Json) -> bytes:
    """A frame with its length before it. Raises InvalidFrame for one that is too long."""
    content = msgspec.msgpack.encode(Frame(kind, body))
    if len(content) > MAX_FRAME_BYTES:
        raise InvalidFrame(f"a frame of {len(content)} bytes; {MAX_FRAME_BYTES} are allowed")
    return _LENGTH.pack(len(content)) + content


def length_of(prefix: bytes) -> int:
    """How many bytes follow. Raises InvalidFrame."""
    (length,) = _LENGTH.unpack(prefix)
    if length > MAX_FRAME_BYTES:
        raise InvalidFrame(f"a frame of {length} bytes is announced; {MAX_FRAME_BYTES} are allowed")
    return int(length)


def decode(content: bytes) -> Frame:
    """A frame without its length. Raises InvalidFrame."""
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
    """Write a frame to a blocking pipe, at once."""
    pipe.write(encode(kind, body))
    pipe.flush()
