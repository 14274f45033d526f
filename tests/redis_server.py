"""A real Redis of a test's own, to be killed, flushed and paused."""

import contextlib
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from streams.process.ports import free_port
from tests.conftest import eventually


class RedisServer:
    """One server process on loopback, without persistence."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self.process = subprocess.Popen([*command, str(self._folder)], stdout=subprocess.DEVNULL)

    async def start_again(self) -> None:
        """Back on the same port, empty."""
        self.start()
        await eventually(self.answers)

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        """As a file is closed."""
        self.stop()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    async def ask(self, *words: str) -> Any:
        async with Redis.from_url(self.url) as client:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call] # redis's own

    async def answers(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(await self.ask("PING"))
        return False


@contextlib.asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[RedisServer]:
    """A server that answers; it is gone afterwards."""
    server = RedisServer(folder)
    try:
        await eventually(server.answers)
        yield server
    finally:
        server.stop()
