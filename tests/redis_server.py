"""A real Redis of a test's own, to be killed, flushed and paused: one server, or a cluster."""

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

    def __init__(self, folder: Path, *options: str) -> None:
        """`options`: of the command, e.g. "--maxmemory", "1"."""
        self.port, self._folder, self._options = free_port(), folder, options
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), *self._options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

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

    @property
    def bus(self) -> str:
        """Port at which other servers of a cluster reach it."""
        return self._options[-1]

    async def is_joined(self) -> bool:
        """Whether it knows where all keys of its cluster are."""
        return "cluster_state:ok" in (await self.ask("CLUSTER", "INFO")).decode()

    async def answers(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(await self.ask("PING"))
        return False


@contextlib.asynccontextmanager
async def redis_server(folder: Path, *options: str) -> AsyncIterator[RedisServer]:
    """A server that answers; it is gone afterwards."""
    server = RedisServer(folder, *options)
    try:
        await eventually(server.answers)
        yield server
    finally:
        server.stop()


#: Slots of a cluster's keys, each half on one of two servers.
_HALVES = ((0, 8191), (8192, 16383))


@contextlib.asynccontextmanager
async def redis_cluster(folder: Path) -> AsyncIterator[tuple[RedisServer, RedisServer]]:
    """A cluster of two servers, each with half of the keys."""
    async with contextlib.AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(redis_server(folder, *_of_cluster(name))) for name in "ab"]
        for server, (first, last) in zip((one, two), _HALVES, strict=True):
            await server.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        await one.ask("CLUSTER", "MEET", "127.0.0.1", str(two.port), two.bus)
        for server in (one, two):
            await eventually(server.is_joined)
        yield one, two


def _of_cluster(name: str) -> list[str]:
    return ["--cluster-enabled", "yes", "--cluster-config-file", f"{name}.conf", "--cluster-port", str(free_port())]
