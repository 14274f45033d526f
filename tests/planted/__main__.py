"""`python -m tests.planted [--only NAME …] [--json]`: plants bugs in a copy of the code, and runs the tests on each.

Exit code 1 where the tests miss more than 1 in 25 (2 of 50), where a bug's text has moved, or where the tests fail
without a bug.
"""

import argparse
import fnmatch
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.documents import CHECKOUT
from tests.planted.bugs import Bug, Moved, load
from tests.planted.checkout import Checkout
from tests.planted.report import Result, page, passes
from tests.planted.run import run_tests, verdict

_PAGE = CHECKOUT / "docs" / "planted.md"
#: Time limit of all tests without a bug, seconds.
_BASELINE_S = 1800.0


def main() -> int:
    """Plant the bugs, one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these bugs only; NAME may have * and ?")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--list", action="store_true", help="name all bugs")
    chosen = parser.parse_args()
    bugs = [bug for bug in load() if _is_chosen(bug, chosen.only)]
    if chosen.list:
        print("\n".join(f"{bug.name}: {bug.effect}" for bug in bugs))
        return 0
    if not bugs:
        parser.error("there is no such bug")
    with tempfile.TemporaryDirectory(prefix="kinolog-planted-") as name:
        copy = Checkout(Path(name).resolve())
        copy.fill(CHECKOUT)
        if problem := _problem_without_bugs(copy, bugs):
            print(problem, file=sys.stderr)
            return 1
        results = []
        for result in _results(copy, bugs):
            results.append(result)
            print(result.line(), file=sys.stderr, flush=True)
    print(json.dumps([result.as_json() for result in results], indent=1) if chosen.json else page(results))
    if chosen.only is None:
        _PAGE.write_text(page(results))
    return 0 if passes(results) else 1


def _is_chosen(bug: Bug, only: Sequence[str] | None) -> bool:
    return only is None or any(fnmatch.fnmatch(bug.name, pattern) for pattern in only)


def _problem_without_bugs(copy: Checkout, bugs: Sequence[Bug]) -> str | None:
    """Why the tests cannot tell anything: they fail in the copy as it is."""
    tests = sorted({test for bug in bugs for test in bug.tests})
    ended = run_tests(copy.root, tests, _BASELINE_S)
    return None if ended.returncode == 0 else f"The tests fail without a bug:\n{ended.output[-4000:]}"


def _results(copy: Checkout, bugs: Sequence[Bug]) -> Iterator[Result]:
    for bug in bugs:
        try:
            with copy.planted(bug):
                ended = run_tests(copy.root, bug.tests)
        except (Moved, SyntaxError) as error:
            yield Result(bug, "moved" if isinstance(error, Moved) else "broken", str(error), 0.0)
            continue
        found = verdict(ended)
        yield Result(bug, found.status, found.test, ended.took_s)


if __name__ == "__main__":
    sys.exit(main())
