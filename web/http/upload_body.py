"""The bytes of an upload, raw or out of a form: one piece at a time, dropped when they stall."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple, TypeVar

from aiohttp import BodyPartReader, HttpVersion11, MultipartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from web.http.problems import CLOSE, Problem
from web.http.text_repair import repaired, unescaped

_PIECE_BYTES = 256 * 1024
#: Longest text field of a form, bytes; most parts of one.
_FIELD_BYTES, _MOST_PARTS = 64 * 1024, 100
#: Form fields that say the same as the query's parameters.
FIELDS = ("filename", "pipeline", "passthrough", "priority", "owner")

T = TypeVar("T")


class Incoming(NamedTuple):
    """A file that is coming in."""

    chunks: AsyncIterator[bytes]
    #: The form's text fields by name. Complete when the chunks have ended: fields may follow the file.
    fields: dict[str, str]
    #: The file's name in the form.
    name: str | None = None


async def incoming(request: web.Request, stall_s: float) -> Incoming:
    """The file of the request, not read yet. Raises Problem: 408 stalled, 413, 422 for a form without a file.

    Its chunks raise Problem too: 422 for a form that has a second file.
    """
    await _continue(request)
    if not request.content_type.startswith("multipart/"):
        return Incoming(_pieces(request.content.readany, stall_s), {})
    form = _Form(await _understood(request.multipart()), stall_s)
    file = await form.next_file()
    if file is None:
        raise Problem(422, "missing-file", "the form has no file")
    return Incoming(form.chunks(file), form.fields, file.name)


class _File(NamedTuple):
    """A form part that holds a file."""

    part: BodyPartReader
    name: str | None
    #: Its first bytes.
    first: bytes


class _Form:
    """A form that is read from its first to its last part."""

    def __init__(self, reader: MultipartReader, stall_s: float) -> None:
        self._reader, self._stall_s, self._parts = reader, stall_s, 0
        self.fields: dict[str, str] = {}

    async def next_file(self) -> _File | None:
        """The next file, the fields before it read; None at the form's end. One that was not chosen is none."""
        while (part := await self._next()) is not None:
            name = part.filename
            if name is None and part.name != "file":
                await self._keep(part)
                continue
            first = await self._piece(part)
            if first or name != "":
                return _File(part, None if name is None else unescaped(repaired(name)), first)
        return None

    async def chunks(self, file: _File) -> AsyncIterator[bytes]:
        """The file's bytes; then the form is read to its end. Raises Problem (422) for a second file."""
        if file.first:
            yield file.first
            async for piece in _pieces(lambda: _understood(file.part.read_chunk(_PIECE_BYTES)), self._stall_s):
                yield piece
        if await self.next_file() is not None:
            raise Problem(422, "several-files", "the form has several files: upload each on its own", CLOSE)

    async def _next(self) -> BodyPartReader | None:
        part = await _understood(_timely(self._reader.next(), self._stall_s))
        self._parts += part is not None
        if self._parts > _MOST_PARTS:
            raise Problem(422, "invalid-form", f"the form has more than {_MOST_PARTS} parts", CLOSE)
        if part is None or (isinstance(part, BodyPartReader) and part.name is not None):
            return part
        raise Problem(422, "invalid-form", "a part of the form has no name, or is itself a form", CLOSE)

    async def _keep(self, part: BodyPartReader) -> None:
        """Read a field; what has no meaning here is read over."""
        text, name = b"", part.name or ""
        async for piece in _pieces(lambda: _understood(part.read_chunk()), self._stall_s):
            text += piece
            if len(text) > _FIELD_BYTES:
                raise Problem(
                    413, "body-too-large", f"the form field {name!r} is longer than {_FIELD_BYTES} bytes", CLOSE
                )
        if name not in FIELDS:
            return
        if name in self.fields:
            raise Problem(422, "invalid-form", f"the form has the field {name!r} twice", CLOSE)
        self.fields[name] = _text(name, text)

    async def _piece(self, part: BodyPartReader) -> bytes:
        return bytes(await _timely(_understood(part.read_chunk(_PIECE_BYTES)), self._stall_s))


async def _continue(request: web.Request) -> None:
    """Let a client go on that waits to be asked for its body. Source: RFC 9110 section 10.1.1."""
    waits = request.headers.get("Expect", "").lower() == "100-continue"
    if waits and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def unasked(request: web.Request) -> None:
    """Handler of `Expect` that says nothing yet, so that a refusal comes before the body."""


async def _pieces(read: Callable[[], Awaitable[bytes]], stall_s: float) -> AsyncIterator[bytes]:
    while piece := await _timely(read(), stall_s):
        yield bytes(piece)


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if name == "filename":
            return repaired(raw.decode(errors="surrogateescape"))
        raise Problem(422, "invalid-form", f"the form field {name!r} is not UTF-8", CLOSE) from error


async def _understood(reading: Awaitable[T]) -> T:
    """What aiohttp's reader of forms gives; its complaints become one problem."""
    try:
        return await reading
    except (BadHttpMessage, ValueError, RuntimeError, AssertionError) as error:
        raise Problem(422, "invalid-form", "the form is malformed or incomplete", CLOSE) from error


async def _timely(reading: Awaitable[T], stall_s: float) -> T:
    try:
        async with asyncio.timeout(stall_s):
            return await reading
    except TimeoutError as error:
        raise Problem(
            408, "upload-stalled", f"no data was received for {stall_s:g} s; nothing was stored", CLOSE
        ) from error
