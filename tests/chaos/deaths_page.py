"""docs/deaths.md: process deaths that were survived, a row for each run, added up over versions. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

#: The count that the project works toward.
_AIM = 12_000
_ROW = re.compile(r"\| (\S+) \| ([\w.+]+) \((\w+)\) \| (\d+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|")

_HEAD = """\
# Process deaths

`make deaths [COUNT=150]` kills control, executors, web replicas and the broker with SIGKILL while jobs of all kinds
run: twenty in a row, one every 0.4 to 0.9 s, then some seconds in which work gets on, and again. Then everything must
come to rest, and the checker of the chaos runs (`tests/chaos/checker.py`) looks for jobs that are lost, visible twice,
or different on two replicas. Each run adds its row; a violation stays in the table.
"""


class Deaths(NamedTuple):
    """One run."""

    #: Date, ISO 8601.
    day: str
    version: str
    commit: str
    brokers: int
    seed: int
    deaths: int
    jobs: int
    violations: int

    def row(self) -> str:
        """As a line of the table."""
        about = f"| {self.day} | {self.version} ({self.commit}) | {self.brokers} | {self.seed} "
        return about + f"| {self.deaths:,} | {self.jobs:,} | {self.violations:,} |"


def runs_in(page: str) -> list[Deaths]:
    """The runs of a page."""
    return [_run(*row.groups()) for row in map(_ROW.fullmatch, page.splitlines()) if row is not None]


def _run(day: str, version: str, commit: str, *texts: str) -> Deaths:
    brokers, seed, deaths, jobs, violations = (int(text.replace(",", "")) for text in texts)
    return Deaths(day, version, commit, brokers, seed, deaths, jobs, violations)


def page_of(runs: Sequence[Deaths]) -> str:
    """The page with these runs and their sums."""
    deaths, violations = sum(run.deaths for run in runs), sum(run.violations for run in runs)
    versions = dict.fromkeys(run.version for run in runs)
    sums = [
        f"| {version} | {sum(run.deaths for run in runs if run.version == version):,} "
        f"| {sum(run.violations for run in runs if run.version == version):,} |"
        for version in versions
    ]
    lines = [
        _HEAD,
        f"{deaths:,} deaths so far of {_AIM:,}, {violations:,} violations.",
        "",
        *("| version | deaths | violations |", "|---|---|---|"),
        *sums,
        "",
        *("| day | version | brokers | seed | deaths | jobs | violations |", "|---|---|---|---|---|---|---|"),
        *(run.row() for run in runs),
        "",
    ]
    return "\n".join(lines)
