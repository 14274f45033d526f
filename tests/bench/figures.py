"""`make bench`: measures this checkout on this machine; writes docs/figures.md, docs/figures.svg and README's lines.

python -m tests.bench.figures [PART…] [--runs N] [--json]  parts: whole, throughput, makespan, interface, cache, models
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop

ROOT = Path(__file__).resolve().parents[2]
MARKS = ("<!-- bench: begin -->", "<!-- bench: end -->")
PARTS = ("whole", "throughput", "makespan", "interface", "cache", "models")
COLD_START = "cold `kinolog up` -> ready"
ONE_JOB = "submit -> completed of one no-op job"
BARE_PIPELINE = "wall time of the pipeline `video` / its commands bare, one after another"
#: Figures that README has, and their sentences.
HEADLINES = {
    COLD_START: "`kinolog up` is ready after {}, on an empty data directory.",
    ONE_JOB: "kinolog itself adds {} to a job, from the request to its result.",
    BARE_PIPELINE: "The pipeline `video` takes {} times as long as its ffmpeg commands run bare, one after another.",
}
_ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


class Figure(NamedTuple):
    """One line of the table."""

    what: str
    #: What it means to a user, one sentence.
    meaning: str
    measured: str
    spread: str
    #: Bound that it should meet; empty where there is none.
    target: str
    #: The figure as a share of its target: 1 meets it, less is better. None where there is no target.
    share: float | None = None


def spread(values: Sequence[float], unit: str = "") -> str:
    """Smallest to largest, and how many."""
    return f"{min(values):.2f}-{max(values):.2f}{unit}, n={len(values)}"


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which so many percent lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process. Source: proc(5), stat fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    return _memory_mb(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """The most memory that a process has had resident."""
    return _memory_mb(pid, "VmHWM")


def _memory_mb(pid: int, field: str) -> float:
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) / 1024


def machine() -> str:
    """What this was measured on."""
    model = next((x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), ": unknown")
    versions = [
        f"Python {platform.python_version()}",
        f"ffmpeg {_said('ffmpeg', '-version').split()[2]}",
        f"Redis {_said('redis-server', '--version').split()[2].removeprefix('v=')}",
        f"Node {_said('node', '--version').strip()}",
    ]
    return f"{os.cpu_count()} x {model.partition(': ')[2]}, {', '.join(versions)}"


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def table(figures: Sequence[Figure]) -> str:
    """The figures as Markdown."""
    lines = ["| figure | what it means | measured | spread | target |", "|---|---|---|---|---|"]
    lines += [f"| {f.what} | {f.meaning} | {f.measured} | {f.spread} | {f.target} |" for f in figures]
    when = time.strftime("%Y-%m-%d", time.gmtime())
    return "\n".join([*lines, "", f"Measured by `make bench` on {machine()}, {when}."])


def headlines(figures: Sequence[Figure]) -> str:
    """The lines of README: the figures of `HEADLINES` in a sentence each."""
    measured_of = {figure.what: figure.measured for figure in figures}
    return "\n".join(f"- {text.format(measured_of[what])}" for what, text in HEADLINES.items())


def write_between_marks(path: Path, text: str) -> None:
    """Replace the text between the marks."""
    head, _, rest = path.read_text().partition(MARKS[0])
    tail = rest.partition(MARKS[1])[2]
    path.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}")


def measured(part: str, runs: int) -> list[Figure]:
    """The figures of one part, in a process of its own: what one leaves in memory shall not slow the next."""
    command = [sys.executable, "-m", "tests.bench.figures", part, "--json", "--here", "--runs", str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=_ENVIRON)
    return [Figure(*fields) for fields in json.loads(done.stdout.splitlines()[-1])]


def _here(part: str, runs: int) -> list[Figure]:
    from tests.bench import parts  # they import this module

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:  # as the processes of kinolog
        return loop.run(parts.PARTS[part](runs))


def main(report: Callable[[str], None] = print) -> int:
    """Measure, print, and write the table down when nothing was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON and write nothing")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    figures: list[Figure] = []
    for part in arguments.parts or PARTS:
        print(f"bench: {part}", file=sys.stderr)
        figures += (_here if arguments.here else measured)(part, arguments.runs)
    if arguments.json:
        report(json.dumps(figures))
        return 0
    report(table(figures))
    if not arguments.parts:
        from tests.bench.plot import plot

        write_between_marks(ROOT / "docs" / "figures.md", table(figures))
        write_between_marks(ROOT / "README.md", headlines(figures))
        (ROOT / "docs" / "figures.svg").write_text(plot(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
