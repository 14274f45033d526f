"""Ways in which one token can try to take a replica from all others."""

import asyncio
import contextlib
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.abuse.sockets import Address, Outcomes, address, head, hold

TOKEN = "anna-views"
_KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
_UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", _KEY)
#: A masked ping without payload, a hundred times. Source: RFC 6455 section 5.
_PINGS = b"\x89\x80\x00\x00\x00\x00" * 100
#: What is dear to compute and large to send.
_COSTLY = (
    "/v1/jobs?limit=500&sort=-duration",
    "/v1/jobs?q=nobody+said+that&limit=500",
    "/v1/jobs/export?format=csv",
    "/v1/stats",
    "/v1/search?mode=text&q=country",
    "/openapi.json",
)


#: One connection of an attack, until it is cancelled.
Run = Callable[[str, Outcomes], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Attack:
    """One kind of abuse; `connections` of a whole of 100."""

    name: str
    share: int
    run: Run


def _held(
    sends: bytes, drip: bytes = b"", every_s: float = 5.0
) -> Callable[[str, Outcomes], Coroutine[Any, Any, None]]:
    def run(url: str, outcomes: Outcomes) -> Coroutine[Any, Any, None]:
        where: Address = address(url)
        return hold(where, sends, outcomes, drip, every_s)

    return run


def _body(length: int) -> tuple[str, str]:
    return "Content-Type: application/json", f"Content-Length: {length}"


async def _read_costly(url: str, outcomes: Outcomes) -> None:
    headers, connector = {"Authorization": f"Bearer {TOKEN}"}, aiohttp.TCPConnector(local_addr=(outcomes.source, 0))
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
        for number in range(10**9):
            await _request(session, _COSTLY[number % len(_COSTLY)], outcomes)


async def _guess_tokens(url: str, outcomes: Outcomes) -> None:
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(local_addr=(outcomes.source, 0))) as session:
        for number in range(10**9):
            session.headers["Authorization"] = f"Bearer guess_{number}"
            await _request(session, "/v1/jobs", outcomes)
            await asyncio.sleep(0.05)


async def _request(session: aiohttp.ClientSession, path: str, outcomes: Outcomes) -> None:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(path) as response:
            await response.read()
            outcomes.counts[str(response.status)] += 1
            if response.status == 429:
                await asyncio.sleep(0.2)


_SUBSCRIBE = "/v1/live/sse?subscribe=all"
_CHUNKED = head("POST", "/v1/assets", "anna-edits", "Content-Type: application/json", "Transfer-Encoding: chunked")
#: 300 MB of zeros.
_PACKED = zlib.compress(bytes(300 * 1024 * 1024), 9)
_COMPRESSED = head("POST", "/v1/assets", "anna-edits", *_body(len(_PACKED)), "Content-Encoding: deflate")
_GET = head("GET", "/v1/jobs?limit=1", TOKEN) + b"\r\n"
ATTACKS = (
    Attack("silent", 37, _held(b"")),
    Attack("slow-headers", 10, _held(head("GET", "/v1/jobs", TOKEN), b"X: y\r\n")),
    Attack("slow-bodies", 5, _held(head("POST", "/v1/jobs/clear", "anna-edits", *_body(10**6)) + b"\r\n", b" ", 1.0)),
    Attack("unread-sse", 25, _held(head("GET", _SUBSCRIBE, TOKEN) + b"\r\n")),
    Attack("unread-sockets", 10, _held(head("GET", "/v1/live", TOKEN, *_UPGRADE) + b"\r\n")),
    Attack("ping-flood", 1, _held(head("GET", "/v1/live", TOKEN, *_UPGRADE) + b"\r\n", _PINGS, 0.1)),
    Attack("tiny-chunks", 1, _held(_CHUNKED + b"\r\n", b"1\r\nx\r\n" * 2_000, 0.1)),
    Attack("compressed-bodies", 1, _held(_COMPRESSED + b"\r\n" + _PACKED)),
    Attack("pipelined", 1, _held(_GET * 200, _GET * 200, 0.1)),
    Attack("unread-lists", 7, _held(head("GET", "/v1/jobs?limit=500", TOKEN) + b"\r\n")),
    Attack("costly-reads", 1, _read_costly),
    Attack("wrong-tokens", 1, _guess_tokens),
)
