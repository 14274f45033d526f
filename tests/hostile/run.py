"""Runs cases, two at a time, and tells what became of them."""

import asyncio
import resource
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processors.tools.sandbox import Sandbox
from tests.hostile.cases import Bait, Case, Materials
from tests.hostile.pipeline import Line, Outcome
from tests.hostile.seeds import Seeds
from tests.hostile.verdict import violations

_AT_A_TIME = 2
#: What a process of ours may grow to on such files: two of them, and what the checks read.
_OWN_BYTES = 1024**3


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A case that ran, and what did not hold."""

    outcome: Outcome
    violations: tuple[str, ...]


@contextmanager
def materials(folder: Path) -> Iterator[tuple[Materials, Callable[[], bool]]]:
    """Seeds and a bait below `folder`, and whether the bait's address has been asked for."""
    (folder / "seeds").mkdir()
    canary = folder / "canary"
    # Stands in no case's bytes, only its place does: wherever it shows up, the file was read.
    secret = "kinolog-canary-" + "".join(f"{byte:02x}" for byte in b"never to be seen")
    canary.write_text(secret)
    canary.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/film.mp4"
        yield (
            Materials(seeds=Seeds(folder / "seeds"), bait=Bait(canary=canary, secret=secret, url=url)),
            lambda: _asked(server),
        )


def _asked(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


async def judged(line: Line, bait: Bait, cases: Sequence[Case]) -> AsyncIterator[Verdict]:
    """Every case's verdict, as they come."""
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def judge(number: int, case: Case) -> Verdict:
        async with gate:
            outcome = await line.process(case, number)
            return Verdict(outcome=outcome, violations=tuple([text async for text in violations(outcome, line, bait)]))

    for verdict in asyncio.as_completed([judge(number, case) for number, case in enumerate(cases)]):
        yield await verdict


def overall(line: Line, *, asked: bool) -> list[str]:
    """What did not hold of the run as a whole."""
    found = []
    if asked:
        found.append("somebody asked for an address that stands in a file")
    if (tool := resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024) > line.limits.tool_memory_bytes:
        found.append(f"a tool had {tool >> 20} MiB of memory")
    if (own := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) > _OWN_BYTES:
        found.append(f"our own process had {own >> 20} MiB of memory")
    if line.scratch.root.exists() and list(line.scratch.root.iterdir()):
        found.append("scratch space is left")
    return found


def table(verdicts: Sequence[Verdict]) -> str:
    """How many cases ended how, by family."""
    counts = Counter((v.outcome.case.name.partition("/")[0], v.outcome.code) for v in verdicts)
    codes = sorted({code for _, code in counts})
    families = sorted({family for family, _ in counts})
    rows = [["", *codes], *([family, *(str(counts[family, code] or "") for code in codes)] for family in families)]
    rows.append(["all", *(str(sum(counts[family, code] for family in families)) for code in codes)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows)


async def run(
    folder: Path, sandbox: Sandbox, choose: Callable[[Materials], list[Case]]
) -> tuple[list[Verdict], list[str]]:
    """The verdicts of the chosen cases, and what did not hold as a whole. `folder` is empty and readable for all."""
    with materials(folder) as (made, asked):
        line = Line(folder / "line", sandbox)
        verdicts = [verdict async for verdict in judged(line, made.bait, choose(made))]
        return verdicts, overall(line, asked=asked())


def told(verdict: Verdict) -> str:
    """A case's violations for people."""
    steps = ", ".join(f"{ending.step}: {ending.code}" for ending in verdict.outcome.endings)
    return "\n    ".join(
        [f"{verdict.outcome.case.name} ({steps}; {verdict.outcome.took_s:.1f} s)", *verdict.violations]
    )


def report(verdicts: Sequence[Verdict], whole: Sequence[str]) -> int:
    """Print everything; 0 when all holds."""
    failed = [verdict for verdict in verdicts if verdict.violations]
    print(table(verdicts))
    slowest = sorted(verdicts, key=lambda v: -v.outcome.took_s)[:5]
    print("slowest:", ", ".join(f"{v.outcome.case.name} {v.outcome.took_s:.1f} s" for v in slowest))
    for verdict in failed:
        print(told(verdict))
    for text in whole:
        print(text)
    print(f"{len(verdicts)} cases, {len(failed)} of them with violations", file=sys.stderr)
    return 1 if failed or whole else 0
