"""Streams of bytes on their way into a store."""

from collections.abc import AsyncIterable, AsyncIterator

from processors.storage.errors import ObjectTooLarge


async def limited(chunks: AsyncIterable[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """The same chunks. Raises ObjectTooLarge as soon as they exceed `max_bytes`."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise ObjectTooLarge(f"more than {max_bytes} bytes")
        yield chunk


async def batched(chunks: AsyncIterable[bytes], size_bytes: int = 1024**2) -> AsyncIterator[bytes]:
    """The same bytes in chunks of at least `size_bytes`: one thread call per megabyte, not per packet."""
    batch: list[bytes] = []
    size = 0
    async for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= size_bytes:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


async def recording_errors(chunks: AsyncIterable[bytes], errors: list[Exception]) -> AsyncIterator[bytes]:
    """The same chunks; their exception is kept in `errors`, because obstore does not pass it on whole."""
    try:
        async for chunk in chunks:
            yield chunk
    except Exception as error:
        errors.append(error)
        raise
