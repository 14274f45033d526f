"""`python -m tests.inputs [TEXT …] [--json] [--list]`: real inputs through the real steps, and what came of them."""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processors.tools.sandbox import detect
from tests.inputs import table
from tests.inputs.corpus import FAILING, INPUTS, failing
from tests.inputs.expected import Input
from tests.inputs.run import Result, run

DOCS = Path(__file__).parents[2] / "docs" / "inputs.md"


def main() -> int:
    """Run it; 0 when exactly those fail that are known to. A whole run writes docs/inputs.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.inputs")
    parser.add_argument("only", nargs="*", help="run the inputs with one of these in their name")
    parser.add_argument("--json", action="store_true", help="print results as JSON, one a line")
    parser.add_argument("--list", action="store_true", help="name all inputs")
    parser.add_argument("--failing", action="store_true", help=f"write what fails to {FAILING.name}")
    options = parser.parse_args()
    items = [item for item in INPUTS if not options.only or any(text in item.name for text in options.only)]
    if options.list:
        print("\n".join(item.name for item in items))
        return 0
    results = asyncio.run(_run(items))
    if options.json:
        for result in results:
            print(json.dumps(table.as_json(result)))
    if options.failing:
        _write_failing(results)
    if not options.only:
        DOCS.write_text(table.document(results))
    return _report(results)


async def _run(items: Sequence[Input]) -> list[Result]:
    order = {item.name: place for place, item in enumerate(items)}
    results = []
    with tempfile.TemporaryDirectory(prefix="kinolog-inputs-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        async for result in run(folder, await detect(), items):
            results.append(result)
            _progress(result, len(results), len(items))
    return sorted(results, key=lambda result: order[result.item.name])


def _progress(result: Result, done: int, of: int) -> None:
    word = "pass" if result.passed else "FAIL"
    print(
        f"{done:3d}/{of} {word} {result.item.name} ({', '.join(f'{one:.1f}' for one in result.took_s)} s)",
        file=sys.stderr,
        flush=True,
    )
    for finding in result.findings:
        if not finding.holds:
            print(f"            {finding.what}: {finding.measured}", file=sys.stderr, flush=True)


def _write_failing(results: Sequence[Result]) -> None:
    ran = {result.item.name for result in results}
    wrong = {result.item.name for result in results if not result.passed}
    keep = (failing() - ran) | wrong
    FAILING.write_text("".join(f"{item.name}\n" for item in INPUTS if item.name in keep))


def _report(results: Sequence[Result]) -> int:
    wrong = {result.item.name for result in results if not result.passed}
    known = failing() & {result.item.name for result in results}
    print(table.summary(results), file=sys.stderr)
    for name in sorted(wrong - known):
        print(f"fails and is not in {FAILING.name}: {name}", file=sys.stderr)
    for name in sorted(known - wrong):
        print(f"passes now: remove its line from {FAILING.name}: {name}", file=sys.stderr)
    return 0 if wrong == known else 1


if __name__ == "__main__":
    sys.exit(main())
