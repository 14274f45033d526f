"""What was asked for and how it was answered: one JSON line each, for the checker."""

import json
import time
from pathlib import Path
from typing import Any


class Ledger:
    """Lines in memory and in a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self.lines: list[dict[str, Any]] = []

    def note(self, what: str, **facts: Any) -> None:
        """Write one line down."""
        line = {"what": what, "at": round(time.time(), 3), **facts}
        self.lines.append(line)
        self._file.write(json.dumps(line) + "\n")

    def count(self, what: str) -> int:
        """How many lines say `what`."""
        return sum(line["what"] == what for line in self.lines)

    def close(self) -> None:
        """Write no more."""
        self._file.close()
