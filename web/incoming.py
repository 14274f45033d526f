"""The bytes of an upload, raw or out of a form: one piece at a time, dropped when they stall."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple, TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from web.problems import CLOSE, Problem

_PIECE_BYTES = 256 * 1024
#: Longest text field of a form, bytes.
_FIELD_BYTES = 64 * 1024
#: Form fields that say the same as the query's parameters.
FIELDS = ("filename", "pipeline", "passthrough", "owner")

T = TypeVar("T")


class Incoming(NamedTuple):
    """A file that is coming in."""

    chunks: AsyncIterator[bytes]
    #: What the form says, by field.
    fields: dict[str, str]


async def incoming(request: web.Request, stall_s: float) -> Incoming:
    """The file of the request, not read yet. Raises Problem: 408 stalled, 413, 422 for a form without a file."""
    await _continue(request)
    if not request.content_type.startswith("multipart/"):
        return Incoming(_pieces(request.content.readany, stall_s), {})
    form, fields = await _understood(request.multipart()), dict[str, str]()
    while (part := await _understood(_timely(form.next(), stall_s))) is not None:
        if not isinstance(part, BodyPartReader):
            raise Problem(422, "invalid-form", "a form within the form is not understood")
        if part.filename is not None or part.name == "file":
            named = {"filename": part.filename} if part.filename else {}
            return Incoming(_pieces(lambda: _understood(part.read_chunk(_PIECE_BYTES)), stall_s), named | fields)
        if part.name in FIELDS:
            fields[part.name] = await _field(part, stall_s)
    raise Problem(422, "missing-file", "the form has no file")


async def _continue(request: web.Request) -> None:
    """Let a client go on that waits to be asked for its body. Source: RFC 9110 section 10.1.1."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def unasked(request: web.Request) -> None:
    """Handler of `Expect` that says nothing yet, so that a refusal comes before the body."""


async def _pieces(read: Callable[[], Awaitable[bytes]], stall_s: float) -> AsyncIterator[bytes]:
    while piece := await _timely(read(), stall_s):
        yield bytes(piece)


async def _field(part: BodyPartReader, stall_s: float) -> str:
    text = b""
    async for piece in _pieces(lambda: _understood(part.read_chunk()), stall_s):
        text += piece
        if len(text) > _FIELD_BYTES:
            raise Problem(413, "body-too-large", f"the field {part.name} is longer than {_FIELD_BYTES} bytes", CLOSE)
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise Problem(422, "invalid-form", f"the field {part.name} is not UTF-8") from error


async def _understood(reading: Awaitable[T]) -> T:
    """What aiohttp's reader of forms gives; its complaints become one problem."""
    try:
        return await reading
    except (BadHttpMessage, ValueError, RuntimeError, AssertionError) as error:
        raise Problem(422, "invalid-form", "the form breaks its own framing", CLOSE) from error


async def _timely(reading: Awaitable[T], stall_s: float) -> T:
    try:
        async with asyncio.timeout(stall_s):
            return await reading
    except TimeoutError as error:
        raise Problem(408, "upload-stalled", f"no byte has come for {stall_s:g} s; nothing was kept", CLOSE) from error
