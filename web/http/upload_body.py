"""The body of an upload, raw or multipart, read chunk by chunk with a stall timeout."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple, TypeVar

from aiohttp import BodyPartReader, HttpVersion11, MultipartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from web.http.problems import CLOSE, Problem
from web.http.text_repair import repair_name, unescape_name

_CHUNK_BYTES = 256 * 1024
#: Longest text field of a form, bytes; maximum number of parts.
_FIELD_BYTES, _MOST_PARTS = 64 * 1024, 100
#: Form fields with the meaning of the query parameters of the same names.
FIELDS = ("filename", "pipeline", "passthrough", "priority", "run_at", "owner")

T = TypeVar("T")


class UploadBody(NamedTuple):
    """A file that is being uploaded."""

    chunks: AsyncIterator[bytes]
    #: The form's text fields by name. Complete after the last chunk: fields may follow the file.
    fields: dict[str, str]
    #: The file's name in the form.
    name: str | None = None


async def open_upload_body(request: web.Request, stall_s: float) -> UploadBody:
    """Open the file of the request, not read yet. Raises Problem: 408 stalled, 413, 422 for a form without file.

    Its chunks raise Problem too: 422 for a form with a second file.
    """
    await _continue(request)
    if not request.content_type.startswith("multipart/"):
        return UploadBody(_chunks(request.content.readany, stall_s), {})
    form = _Form(await _checked(request.multipart()), stall_s)
    file = await form.next_file()
    if file is None:
        raise Problem(422, "missing-file", "the form has no file")
    return UploadBody(form.chunks(file), form.fields, file.name)


class _File(NamedTuple):
    """A form part that holds a file."""

    part: BodyPartReader
    name: str | None
    #: Its first bytes.
    first: bytes


class _Form:
    """A multipart form, read from its first to its last part."""

    def __init__(self, reader: MultipartReader, stall_s: float) -> None:
        self._reader, self._stall_s, self._parts = reader, stall_s, 0
        self.fields: dict[str, str] = {}

    async def next_file(self) -> _File | None:
        """Read up to the next file; None at the form's end. A file input without a chosen file is skipped."""
        while (part := await self._next()) is not None:
            name = part.filename
            if name is None and part.name != "file":
                await self._store_field(part)
                continue
            first = await self._chunk(part)
            if first or name != "":
                return _File(part, None if name is None else unescape_name(repair_name(name)), first)
        return None

    async def chunks(self, file: _File) -> AsyncIterator[bytes]:
        """Yield the file's bytes, then read the form to its end. Raises Problem (422) for a second file."""
        if file.first:
            yield file.first
            async for chunk in _chunks(lambda: _checked(file.part.read_chunk(_CHUNK_BYTES)), self._stall_s):
                yield chunk
        if await self.next_file() is not None:
            raise Problem(422, "several-files", "the form has several files: upload each on its own", CLOSE)

    async def _next(self) -> BodyPartReader | None:
        part = await _checked(_within(self._reader.next(), self._stall_s))
        self._parts += part is not None
        if self._parts > _MOST_PARTS:
            raise Problem(422, "invalid-form", f"the form has more than {_MOST_PARTS} parts", CLOSE)
        if part is None or (isinstance(part, BodyPartReader) and part.name is not None):
            return part
        raise Problem(422, "invalid-form", "a part of the form has no name, or is itself a form", CLOSE)

    async def _store_field(self, part: BodyPartReader) -> None:
        """Read and store a field; unknown fields are skipped."""
        text, name = b"", part.name or ""
        async for chunk in _chunks(lambda: _checked(part.read_chunk()), self._stall_s):
            text += chunk
            if len(text) > _FIELD_BYTES:
                raise Problem(
                    413, "body-too-large", f"the form field {name!r} is longer than {_FIELD_BYTES} bytes", CLOSE
                )
        if name not in FIELDS:
            return
        if name in self.fields:
            raise Problem(422, "invalid-form", f"the form has the field {name!r} twice", CLOSE)
        self.fields[name] = _text(name, text)

    async def _chunk(self, part: BodyPartReader) -> bytes:
        return bytes(await _within(_checked(part.read_chunk(_CHUNK_BYTES)), self._stall_s))


async def _continue(request: web.Request) -> None:
    """Send 100 Continue to a client that waits for it. Source: RFC 9110 section 10.1.1."""
    waits = request.headers.get("Expect", "").lower() == "100-continue"
    if waits and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def defer_continue(request: web.Request) -> None:
    """Handler of `Expect` that sends nothing yet, so that the request can be rejected before its body is sent."""


async def _chunks(read: Callable[[], Awaitable[bytes]], stall_s: float) -> AsyncIterator[bytes]:
    while chunk := await _within(read(), stall_s):
        yield bytes(chunk)


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if name == "filename":
            return repair_name(raw.decode(errors="surrogateescape"))
        raise Problem(422, "invalid-form", f"the form field {name!r} is not UTF-8", CLOSE) from error


async def _checked(reading: Awaitable[T]) -> T:
    """Await aiohttp's form reader; its errors become one problem."""
    try:
        return await reading
    except (BadHttpMessage, ValueError, RuntimeError, AssertionError) as error:
        raise Problem(422, "invalid-form", "the form is malformed or incomplete", CLOSE) from error


async def _within(reading: Awaitable[T], stall_s: float) -> T:
    try:
        async with asyncio.timeout(stall_s):
            return await reading
    except TimeoutError as error:
        raise Problem(
            408, "upload-stalled", f"no data was received for {stall_s:g} s; nothing was stored", CLOSE
        ) from error
