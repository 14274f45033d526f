"""An executor whose start hangs ends, to be started again, and leaves its stacks in the log."""

import asyncio
import os
import sys
from pathlib import Path

_LIMIT_S = 4


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_a_broker_that_accepts_and_never_responds_does_not_hold_an_executor(tmp_path: Path) -> None:
    async with await asyncio.start_server(_say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
        own = {"KINOLOG_DATA_DIR": str(tmp_path), "KINOLOG_KAFKA__BOOTSTRAP": f"127.0.0.1:{port}"}
        limits = {"KINOLOG_WATCHDOG__START_S": str(_LIMIT_S)}
        command = [sys.executable, "-m", "streams.cli", "executor"]
        process = await asyncio.create_subprocess_exec(
            *command, env=inherited | own | limits, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 77, said.decode()[-2000:]
    assert b"start does not end" in said and b"File " in said
