"""An upload in tiny packets costs what its bytes cost, and keeps what was received."""

from collections.abc import AsyncIterator

import pytest

from web.http.problems import Problem
from web.upload_staging.block_writer import BLOCK_BYTES, write_blocks


class _Chunk(bytes):
    """Counts how often the size of any chunk is read."""

    reads = 0

    def __len__(self) -> int:
        type(self).reads += 1
        return super().__len__()


class _Disk:
    def __init__(self) -> None:
        self.blocks: list[bytes] = []

    async def write(self, block: bytearray) -> None:
        self.blocks.append(bytes(block))


async def _chunks(count: int, size: int = 1, error: Exception | None = None) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield _Chunk(b"x" * size)
    if error is not None:
        raise error


async def test_a_packet_costs_the_same_however_many_came_before_it() -> None:
    _Chunk.reads, disk = 0, _Disk()
    await write_blocks(_chunks(3_000), disk.write)
    assert _Chunk.reads <= 2 * 3_000
    assert disk.blocks == [b"x" * 3_000]


async def test_blocks_are_written_as_soon_as_they_are_full() -> None:
    disk = _Disk()
    await write_blocks(_chunks(5, BLOCK_BYTES // 2), disk.write)
    assert [len(block) for block in disk.blocks] == [BLOCK_BYTES, BLOCK_BYTES, BLOCK_BYTES // 2]


async def test_bytes_before_a_broken_connection_are_kept() -> None:
    disk = _Disk()
    with pytest.raises(ConnectionResetError):
        await write_blocks(_chunks(3, error=ConnectionResetError()), disk.write)
    assert disk.blocks == [b"xxx"]


async def test_nothing_is_kept_of_a_body_that_is_refused() -> None:
    disk = _Disk()
    with pytest.raises(Problem):
        await write_blocks(_chunks(3, error=Problem(413, "upload-too-large", "too large")), disk.write)
    assert disk.blocks == []
