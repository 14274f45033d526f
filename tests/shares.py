"""Shares of the long tests: `make test` runs a quarter of them, by commit, and `make thorough` all.

`python -m tests.shares` prints the share of this commit. The rest of the suite, and whatever pytest is asked for by
name, always runs whole.
"""

import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

#: Environment variable: the number of a share, from 1. Unset or empty: all long tests.
SHARE = "SHARE"
SHARES = 4
_ROOT = Path(__file__).resolve().parents[1]


def long_tests() -> list[str]:
    """Tests of 8 s and more on two cores, without their parameters; every fourth one belongs to the same share."""
    return (_ROOT / "tests" / "long_tests.txt").read_text().split()


def share_of(commit: str) -> int:
    """The share of a commit, by its hash."""
    return int(commit[:8], 16) % SHARES + 1


def is_left_out(test: str, share: int) -> bool:
    """Whether a test, by pytest's id, is a long one of another share."""
    return _shares().get(test.partition("[")[0], share) != share


@cache
def _shares() -> dict[str, int]:
    return {name: number % SHARES + 1 for number, name in enumerate(long_tests())}


def current() -> int | None:
    """The share that this run takes; None: all of them. Raises ValueError."""
    asked = os.environ.get(SHARE)
    return int(asked) if asked else None


def _commit() -> str:
    """HEAD, or the day where there is no repository."""
    command = ["git", "-C", str(_ROOT), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else f"{int(time.time() // 86_400):x}"


def main() -> None:
    share = share_of(_commit())
    print(f"long tests: share {share} of {SHARES}, chosen by the commit (make thorough runs all)", file=sys.stderr)
    print(share)


if __name__ == "__main__":
    main()
