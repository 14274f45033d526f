"""Runs control with faults put in: `python -m tests.chaos.faulty_control FAULT …`. The product has no such switches.

stock         none of streams/worker/patch_delivery.py
guard-alone   of streams/worker/patch_delivery.py only the seek that the guard starts from
no-guard      records are taken whatever is missing before them
drop          every 50th record of a partition does not reach the agent when it is fetched for the first time
"""

import os
import sys
from pathlib import Path
from typing import Any

from faust.transport.consumer import Consumer

from agents.control import main
from streams.settings import load
from streams.worker import guard, patch_delivery

#: Of each partition, `drop` loses every so many-th record.
DROPPED_EVERY = 50


def leave_stock() -> None:
    """Leave Faust as it is."""
    patch_delivery.install = lambda: None


def keep_the_seek_alone() -> None:
    """The seek tells the continuity check where reading starts; as stock Faust does, it leaves the flow running, and
    comes whenever Faust asks for it.
    """

    async def seek(self: Any) -> None:
        self.stop_flow = lambda: None
        try:
            await patch_delivery._seek(self)
        finally:
            del self.stop_flow

    seek.__name__ = "perform_seek"
    patch_delivery._REPLACEMENTS[:] = [(Consumer, seek)]


def without_guard() -> None:
    """Believe that nothing is ever missing."""

    async def trust(self: guard.Guard, message: Any) -> None:
        return None

    guard.Guard.check = trust  # type: ignore[method-assign]  # that is the fault


def drop_records() -> None:
    """Lose records between fetch and agent, each once however often it is fetched again, and say so on stderr."""
    stock = Consumer.getmany
    notes = Path(os.environ["KINOLOG_DATA_DIR"]) / "dropped"
    dropped = set(notes.read_text().splitlines()) if notes.exists() else set[str]()

    async def leaky(self: Any, timeout: float) -> Any:
        async for tp, message in stock(self, timeout):
            place = f"{tp.topic} {tp.partition} {message.offset}"
            due = not self._is_changelog_tp(tp) and message.offset % DROPPED_EVERY == DROPPED_EVERY - 1
            if due and place not in dropped:
                dropped.add(place)
                with notes.open("a") as file:
                    print(place, file=file)
                print(f"DROPPED {place}", file=sys.stderr, flush=True)
                continue
            yield tp, message

    Consumer.getmany = leaky  # type: ignore[method-assign]  # that is the fault


FAULTS = {"stock": leave_stock, "guard-alone": keep_the_seek_alone, "no-guard": without_guard, "drop": drop_records}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        FAULTS[name]()
    sys.exit(main.main(load()))
