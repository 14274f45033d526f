"""The results as a table, as JSON, and as the page docs/planted.md."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from tests.planted.bugs import Bug

#: Share of the bugs that must be caught: 48 of 50.
_REQUIRED = 0.96

_HEAD = """\
# Planted bugs

`make planted [ONLY=name]` plants these mistakes in a copy of the code, one at a time, and runs the tests that should
notice each. A bug is one replaced text (`tests/planted/lists/`), a mistake of others where a report is named.
Written by a run of all of them: exit code 1 if more than 2 of 50 are missed.
"""


class Result(NamedTuple):
    """One bug, and what became of it."""

    bug: Bug
    status: Literal["caught", "missed", "broken", "hung", "moved"]
    #: The test that failed, or why the bug could not be planted.
    by: str
    took_s: float

    def line(self) -> str:
        """One line for a terminal."""
        return f"{self.status:7} {self.took_s:6.1f} s  {self.bug.name}  {self.by}"

    def as_json(self) -> dict[str, Any]:
        """Name, file, status, test and seconds."""
        return {
            "bug": self.bug.name,
            "effect": self.bug.effect,
            "file": self.bug.file,
            "status": self.status,
            "by": self.by,
            "seconds": round(self.took_s, 1),
            "report": self.bug.report or None,
        }


def caught(results: Sequence[Result]) -> int:
    """How many bugs the tests noticed."""
    return sum(result.status == "caught" for result in results)


def passes(results: Sequence[Result]) -> bool:
    """Whether enough were noticed, and every bug could be planted."""
    planted = all(result.status not in ("moved", "broken") for result in results)
    return planted and caught(results) >= math.ceil(_REQUIRED * len(results))


def page(results: Sequence[Result]) -> str:
    """All results as Markdown."""
    rows = [f"| {' | '.join(_cells(result))} |" for result in results]
    counted = f"{caught(results)} of {len(results)} were caught."
    head = "| bug | what it costs | file | reported in | caught by | |"
    return "\n".join([_HEAD, counted, "", head, "|---|---|---|---|---|---|", *rows, ""])


def _cells(result: Result) -> tuple[str, ...]:
    bug = result.bug
    return bug.name, bug.effect, f"`{bug.file}`", _link(bug.report), _by(result), f"{result.took_s:.0f} s"


def _link(report: str) -> str:
    repository, _, number = report.partition("#")
    return f"[{report}](https://github.com/{repository}/issues/{number})" if report else ""


def _by(result: Result) -> str:
    if result.status != "caught":
        return f"**{result.status}** {result.by}".strip()
    path, _, test = result.by.partition("::")
    return f"`{path}`: {test.removeprefix('test_').replace('_', ' ')}"
