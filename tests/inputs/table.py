"""The audit as a table: docs/inputs.md."""

from collections.abc import Sequence
from typing import Any

from tests.inputs.judges.findings import Finding
from tests.inputs.run import Result

_HEAD = """# Inputs

An audit of real-world inputs. Each input is generated, processed by the steps of the pipeline `standard`, and the
published media is decoded and measured. `make inputs` runs all of them and writes this file; `make inputs ONLY=text`
runs those with the text in their name. Inputs and expected results: `tests/inputs/kinds/`; measurements:
`tests/inputs/judges/`. Known failures: `tests/inputs/failing.txt`.

"""
#: Most measurements of an input that passes, and those that are listed first.
_MOST = 4
_FIRST = (
    "refusal",
    "clock",
    "sync",
    "sound of HLS",
    "colours of the ladder",
    "words",
    "starts of words",
    "loudness",
    "thumbnails",
    "tiles",
)


def document(results: Sequence[Result]) -> str:
    """The whole file."""
    rows = ["| input | kind | outcome | measured | result |", "|---|---|---|---|---|"]
    rows += [_row(result) for result in results]
    return _HEAD + "\n".join(rows) + f"\n\n{summary(results)}\n"


def _row(result: Result) -> str:
    kind, _, what = result.item.name.partition("/")
    cells = (what, kind, result.outcome, _measured(result.findings), "pass" if result.passed else "**fail**")
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _measured(findings: Sequence[Finding]) -> str:
    wrong = [f"**{finding.what}: {finding.measured}**" for finding in findings if not finding.holds]
    right = sorted((finding for finding in findings if finding.holds), key=_rank)
    return "; ".join(wrong or [f"{finding.what}: {finding.measured}" for finding in right[:_MOST]])


def _rank(finding: Finding) -> int:
    return _FIRST.index(finding.what) if finding.what in _FIRST else len(_FIRST)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def summary(results: Sequence[Result]) -> str:
    """How many inputs of each kind pass."""
    kinds: dict[str, list[bool]] = {}
    for result in results:
        kinds.setdefault(result.item.kind, []).append(result.passed)
    parts = [f"{kind} {sum(passed)} of {len(passed)}" for kind, passed in kinds.items()]
    right = sum(result.passed for result in results)
    return f"{right} of {len(results)} inputs pass: {', '.join(parts)}."


def as_json(result: Result) -> dict[str, Any]:
    """A result for other programs."""
    return {
        "input": result.item.name,
        "passed": result.passed,
        "outcome": result.outcome,
        "steps": {step: ending.code for step, ending in result.endings.items()},
        "findings": [finding._asdict() for finding in result.findings],
        "took_s": [round(one, 2) for one in result.took_s],
    }
