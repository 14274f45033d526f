"""Private parts of aiohttp's client: bytes that it would lose with an error that comes after them.

- A parser error discards the response whose head came in the same packet: the head is parsed on its own.
- A reader with an error returns none of the bytes that came before it.
Source: aiohttp 3.14, client_proto.py (ResponseHandler.data_received), streams.py (StreamReader.read).
"""

import asyncio
from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler

_END_OF_HEAD = b"\r\n\r\n"


class _HeadFirst(ResponseHandler):
    """Parses the head of a response before the bytes behind it."""

    def data_received(self, data: bytes) -> None:
        head, end, rest = data.partition(_END_OF_HEAD)
        super().data_received(head + end)
        if rest:
            super().data_received(rest)


def parse_heads_first(connector: aiohttp.TCPConnector) -> None:
    """Have the connections of this connector take responses whose body is longer than announced."""
    connector._factory = partial(_HeadFirst, loop=asyncio.get_running_loop())  # type: ignore[assignment] # a subclass


def unread_bytes(content: aiohttp.StreamReader) -> bytes:
    """Bytes that came before the reader's error."""
    return content._read_nowait(-1)
