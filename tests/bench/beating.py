"""python -m tests.bench.beating FILE: control, which writes the longest pause of its event loop to FILE."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from agents.control import main as control
from streams.settings import load

_TICK_S = 0.01


async def _beat(path: Path) -> None:
    longest_s, written_at = 0.0, 0.0
    while True:
        before = time.monotonic()
        await asyncio.sleep(_TICK_S)
        longest_s = max(longest_s, time.monotonic() - before - _TICK_S)
        if before > written_at + 1.0:
            written_at = before
            path.write_text(f"{longest_s:.3f}")


def main() -> int:
    """Run control with a beat."""
    assembly: Any = control
    make_loop = assembly.new_loop

    def new_loop() -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = make_loop()
        beating.append(loop.create_task(_beat(Path(sys.argv[1]))))
        return loop

    beating: list[asyncio.Task[None]] = []
    assembly.new_loop = new_loop
    return control.main(load())


if __name__ == "__main__":
    sys.exit(main())
