"""`python -m tests.properties [--examples N] [TEST …]`: every property of the unit tests on fresh examples.

One line for each as it ends, and the counterexample of one that does not hold: it becomes an `@example` there, or a
test of its own. All other runs, on every machine, take the same examples every time.
"""

import argparse
import os
import re
import time
from collections.abc import Sequence

import pytest

#: Environment variable with the number of fresh examples of each property. Without it tests take the same ones always.
EXAMPLES = "PROPERTY_EXAMPLES"
#: Of a counterexample's report: the end, where hypothesis explains it.
_SHOWN_LINES = 60


def examples(usual: int) -> int:
    """How many examples a property takes: the usual number, unless all are to take many."""
    return int(os.environ.get(EXAMPLES, usual))


class Report:
    """A pytest plugin that prints how each property ends."""

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._total = 0
        self._began = time.monotonic()
        self.held: list[str] = []
        self.broken: list[str] = []

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Each worker collects the same."""
        if not self._total:
            print(f"{len(ids)} properties, {self._examples:,} examples of each", flush=True)
        self._total = len(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """In place of pytest's own dots."""
        return report.outcome if report.when == "call" else "", "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Once for setup, call and teardown of each."""
        if report.when == "call" or report.failed:
            (self.broken if report.failed else self.held).append(report.nodeid)
            ended = len({*self.held, *self.broken})
            verdict = "BROKEN" if report.failed else "holds"
            name = re.sub(r"^tests/unit/|test_", "", report.nodeid)
            print(f"[{ended:3}/{self._total}] {verdict:6} {report.duration:7.1f} s  {name}", flush=True)
        if report.failed:
            print("\n".join(report.longreprtext.splitlines()[-_SHOWN_LINES:]), flush=True)

    def summary(self) -> str:
        """What a person reads last."""
        minutes = (time.monotonic() - self._began) / 60
        held, broken = set(self.held) - set(self.broken), sorted(set(self.broken))
        missing = self._total - len(held) - len(broken)
        ends = f"{len(held)} hold, {len(broken)} broken" + (f", {missing} not tried to the end" if missing else "")
        return "\n".join([f"{self._total} properties, {self._examples:,} examples, {minutes:.0f} min: {ends}", *broken])


def main() -> int:
    """Try all, or those named; 0 when each holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.properties")
    parser.add_argument("tests", nargs="*", metavar="TEST", default=["tests/unit"], help="as pytest names them")
    parser.add_argument("--examples", type=int, default=20_000, help="of each property")
    asked = parser.parse_args()
    os.environ[EXAMPLES] = str(asked.examples)
    report = Report(asked.examples)
    quiet = ("-q", "--tb=no", "-rN", "--no-header", "--no-summary", "-o", "console_output_style=classic")
    fast = ("-n", "2", "--dist", "worksteal", "-o", "timeout=0")
    code = pytest.main([*quiet, *fast, "-m", "hypothesis", *asked.tests], plugins=[report])
    print(report.summary())
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main())
