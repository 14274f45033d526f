"""`make simulate`: the real reducer and dispatcher among simulated executors, in virtual time.

python -m tests.simulation [--executors N] [--jobs N] [--seed N]    with a size: one run with trouble, printed
Without one: every figure, written to docs/dispatch.md and docs/dispatch.svg.
"""

import argparse
import sys
from random import SystemRandom

from tests.bench import figures
from tests.bench.figures import ROOT, write_between_marks
from tests.bench.plot import plot
from tests.simulation import large, small
from tests.simulation.figure import Figure

#: Sizes whose figures stand in the docs.
_FLEETS = ((8, 4_000), (100, 10_000), (1_000, 100_000))
#: Seed of the figures in the docs.
_SEED = 1


def all_figures(seed: int) -> list[Figure]:
    """Every figure."""
    found = [
        small.calibration(),
        *small.makespans(seed),
        small.mixed_lengths(seed),
        small.single_job(seed),
        *small.memo_behind_film(seed),
        large.gaps(seed),
        large.weighted(seed),
        large.estimates(seed),
    ]
    for executors, jobs in _FLEETS:
        print(f"{executors:,} executors, {jobs:,} jobs", file=sys.stderr)
        found += large.fleet(executors, jobs, seed)
    return found


def table(rows: list[Figure], seed: int) -> str:
    """The figures as Markdown."""
    lines = ["| what | simulated | spread | bar |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.measured} | {row.spread} | {row.bar} |" for row in rows]
    return "\n".join(
        [*lines, "", f"By `make simulate`, seed {seed}; the same seed gives the same figures, times apart."]
    )


def main() -> int:
    """Simulate, print, and write the figures down when no size was asked for. 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--executors", type=int)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    if asked.executors or asked.jobs:
        seed = asked.seed if asked.seed is not None else SystemRandom().randrange(1_000_000)
        executors = asked.executors or 8
        rows = large.fleet(executors, asked.jobs or 50 * executors, seed)
        print(table(rows, seed))
    else:
        rows = all_figures(asked.seed if asked.seed is not None else _SEED)
        print(table(rows, asked.seed or _SEED))
        write_between_marks(ROOT / "docs" / "dispatch.md", table(rows, asked.seed or _SEED))
        (ROOT / "docs" / "dispatch.svg").write_text(plot([figures.Figure(row.what, "", *row[1:]) for row in rows]))
    missed = [row for row in rows if row.share is not None and row.share > 1 and not row.what.startswith("before")]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
