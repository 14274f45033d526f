"""Runs control with a fault put in, for one asset: `python -m tests.integration.agents.control.poisoned FAULT`.

The product has no such switches.
"""

import sys
import time
from typing import Any

from agents.control import decisions, main, uploads
from agents.control.effects import EffectPublisher
from agents.control.record_changes import RecordChanges
from streams.settings import load

#: Whatever is about this asset ends control.
POISON = "poison"


def put_in(owner: Any, name: str, function: Any) -> None:
    """Let `owner` do something else under that name."""
    setattr(owner, name, function)


def fail_to_decide() -> None:
    """The state machine's shell raises."""
    stock = decisions.apply

    def apply(changes: Any, message: Any) -> None:
        stock(changes, message)
        if getattr(message, "asset_id", "") == POISON:
            raise RuntimeError("cannot decide")

    put_in(decisions, "apply", apply)


def fail_to_write() -> None:
    """The changes of the record cannot be written."""
    stock = RecordChanges.write

    def write(self: Any, at: Any) -> Any:
        if POISON in self._assets:
            raise RuntimeError("cannot write")
        return stock(self, at)

    put_in(RecordChanges, "write", write)


def fail_to_convert() -> None:
    """An upload event becomes no command."""
    stock = uploads.command_for

    def command_for(entry: Any, *rest: Any) -> Any:
        if entry.message.asset_id == POISON:
            raise RuntimeError("cannot convert")
        return stock(entry, *rest)

    put_in(uploads, "command_for", command_for)


def block_the_loop() -> None:
    """Deciding takes for ever, and nothing else runs."""
    stock = decisions.apply

    def apply(changes: Any, message: Any) -> None:
        if getattr(message, "asset_id", "") == POISON:
            time.sleep(3600)
        stock(changes, message)

    put_in(decisions, "apply", apply)


def be_refused() -> None:
    """The broker does not take what is published because of the record."""
    stock = EffectPublisher.publish

    def publish(self: Any, effects: Any, now: float) -> None:
        stock(self, effects, now)
        if any(getattr(effect, "asset_id", "") == POISON for effect in effects):
            self._app.batch_sender.put(self._topics.events, 0, b"large", bytes(2 * 1024**2), [])

    put_in(EffectPublisher, "publish", publish)


FAULTS = {
    "decide": fail_to_decide,
    "write": fail_to_write,
    "convert": fail_to_convert,
    "block": block_the_loop,
    "refused": be_refused,
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    sys.exit(main.main(load()))
