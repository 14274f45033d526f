"""A page of docs that counts faults which were survived: a row for each run, added up over versions."""

import datetime as dt
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from streams.release import release
from tests.documents import CHECKOUT

_ROW = re.compile(r"\| (\S+) \| ([\w.+]+) \((\w+)\) \| (\d+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|")


class Tally(NamedTuple):
    """What is counted, and where."""

    #: In docs/.
    file: str
    title: str
    #: In the plural.
    faults: str
    #: The count that the project works toward.
    aim: int
    #: How it is counted, in Markdown.
    text: str


class Run(NamedTuple):
    """One run."""

    #: Date, ISO 8601.
    day: str
    version: str
    commit: str
    brokers: int
    seed: int
    faults: int
    jobs: int
    violations: int

    def row(self) -> str:
        """As a line of the table."""
        about = f"| {self.day} | {self.version} ({self.commit}) | {self.brokers} | {self.seed} "
        return about + f"| {self.faults:,} | {self.jobs:,} | {self.violations:,} |"


DEATHS = Tally(
    "deaths.md",
    "Process deaths",
    "deaths",
    12_000,
    """\
`make deaths [COUNT=150]` kills control, executors, web replicas and the broker with SIGKILL while jobs of all kinds
run: twenty in a row, one every 0.4 to 0.9 s, then some seconds in which work gets on, and again. Then everything must
come to rest, and the checker of the chaos runs (`tests/chaos/checker.py`) looks for jobs that are lost, visible twice,
or different on two replicas. Each run adds its row; a violation stays in the table. The 208 of f052762 were callers who
gave up after 75 s in which no replica lived for long enough, and answers half a second late: since then callers ask
until the run is over.
""",
)
POWER = Tally(
    "power.md",
    "Power cuts",
    "cuts",
    1_000,
    """\
`make power [CUTS=20]` takes the power from a running system: its processes stop at one moment, what they have not
synced is dropped (ext4's shutdown ioctl), and it is started again. With one broker that is all of `kinolog up`, with
broker, files and read model on one disk; every job that was acknowledged must then be there and end, its uploaded bytes
complete, and twelve cancels must be obeyed. With `BROKERS=3` it is one broker at a time, while jobs of all kinds run,
once all three have all records again; the checker of the chaos runs looks at what is left. Each run adds its row; a
violation stays in the table. [guarantees.md](guarantees.md#power-cuts) says what is promised.
""",
)


def note(tally: Tally, *, brokers: int, seed: int, faults: int, jobs: int, violations: int) -> None:
    """Add a run of today's checkout to its page."""
    page = CHECKOUT / "docs" / tally.file
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.strip()
    day = dt.datetime.now(dt.UTC).date().isoformat()
    run = Run(day, release(), commit, brokers, seed, faults, jobs, violations)
    page.write_text(page_of(tally, [*_noted(page), run]))


def _noted(page: Path) -> list[Run]:
    return runs_in(page.read_text()) if page.exists() else []


def runs_in(page: str) -> list[Run]:
    """The runs of a page. Pure."""
    return [_run(*row.groups()) for row in map(_ROW.fullmatch, page.splitlines()) if row is not None]


def _run(day: str, version: str, commit: str, *texts: str) -> Run:
    brokers, seed, faults, jobs, violations = (int(text.replace(",", "")) for text in texts)
    return Run(day, version, commit, brokers, seed, faults, jobs, violations)


def page_of(tally: Tally, runs: Sequence[Run]) -> str:
    """The page with these runs and their sums. Pure."""
    name = tally.faults
    sums = [
        (f"{version} | {brokers}", [run for run in runs if (run.version, run.brokers) == (version, brokers)])
        for version, brokers in dict.fromkeys((run.version, run.brokers) for run in runs)
    ]
    lines = [
        f"# {tally.title}",
        "",
        tally.text,
        f"{_faults(runs):,} {name} so far of {tally.aim:,}, {_violations(runs):,} violations.",
        "",
        *(f"| version | brokers | {name} | violations |", "|---|---|---|---|"),
        *(f"| {about} | {_faults(some):,} | {_violations(some):,} |" for about, some in sums),
        "",
        *(f"| day | version | brokers | seed | {name} | jobs | violations |", "|---|---|---|---|---|---|---|"),
        *(run.row() for run in runs),
        "",
    ]
    return "\n".join(lines)


def _faults(runs: Sequence[Run]) -> int:
    return sum(run.faults for run in runs)


def _violations(runs: Sequence[Run]) -> int:
    return sum(run.violations for run in runs)
