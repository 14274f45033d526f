"""Received bytes -> blocks on disk, at a cost that does not depend on the size of the packets."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from web.http.problems import Problem

#: Bytes that are collected before they are written.
BLOCK_BYTES = 1024**2


async def write_blocks(chunks: AsyncIterator[bytes], write: Callable[[bytearray], Awaitable[None]]) -> None:
    """Write all chunks, in blocks. Those received before a broken connection are written too, those before a Problem
    are not. A chunk costs O(1), and its bytes only: a list of one-byte chunks would take 60 times its bytes.

    Raises what `chunks` and `write` raise.
    """
    block = bytearray()
    try:
        async for chunk in chunks:
            block += chunk
            if len(block) >= BLOCK_BYTES:
                full, block = block, bytearray()
                await write(full)
    except Problem:
        raise
    except BaseException:
        if block:
            with contextlib.suppress(OSError):  # the client requests the offset
                await write(block)
        raise
    await write(block)
