"""A dense schedule of process deaths: `python -m tests.chaos.deaths --count 300`. Exit code 1 for any violation.

Runs of at most 150 deaths each, one after the other. Each adds its row to docs/deaths.md.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.nodes import OneNode, ThreeNodes
from tests.chaos.run import Report, run
from tests.chaos.schedule import Allowed, dense, describe
from tests.chaos.tally import DEATHS, note

#: Deaths of one run: some two minutes.
_AT_ONCE = 150
#: Nothing but deaths: all disks are those of the machine.
_PLAIN = Allowed(small_disks=False, slow_disks=False, own_network=False)
#: Work goes on for so long after the last death, seconds.
_AFTER_S = 5.0


def main() -> int:
    """Kill so many processes, and check."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.deaths")
    parser.add_argument("--count", type=int, default=_AT_ONCE, help="deaths, at least")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    chosen = parser.parse_args()
    left, seed, violated = chosen.count, chosen.seed * 2 + 1, False  # odd: the store is a folder
    while left > 0 and not violated:
        report = _killed(min(left, _AT_ONCE), seed, chosen.brokers)
        violated = bool(report.violations)
        left, seed = left - max(report.deaths, 1), seed + 2
    return int(violated)


def _killed(count: int, seed: int, brokers: int) -> Report:
    """One run, noted on the page."""
    faults = dense(seed, count, (OneNode if brokers == 1 else ThreeNodes).names)
    report = Report(seed, faults[-1].at_s + _AFTER_S, brokers)
    print(f"seed {seed}, {report.seconds:.0f} s: {', '.join(describe(faults))}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="deaths-"))
    asyncio.run(run(folder, report, _PLAIN, faults=faults))
    for violation in report.violations:
        print(f"VIOLATION {violation}", flush=True)
    violations = len(report.violations)
    note(DEATHS, brokers=brokers, seed=seed, faults=report.deaths, jobs=report.jobs, violations=violations)
    print(f"{report.deaths} deaths, {report.jobs} jobs, {violations} violations", flush=True)
    if report.violations:
        print(f"everything is in {folder}", flush=True)
    else:
        shutil.rmtree(folder)
    return report


if __name__ == "__main__":
    sys.exit(main())
