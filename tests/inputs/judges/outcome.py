"""Whether the input was accepted or refused as it should, and how long the result is."""

import json
import re
from collections.abc import Iterator

import msgspec

from schemas.base import OutputWarning
from tests.inputs.expected import Damage, Plays, Refused
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import Observed
from tests.steps import Ending

_SENTENCE_CHARS = 400


def refusal(expected: Refused, observed: Observed) -> Iterator[Finding]:
    """The code and the message of a refusal, which is never retried."""
    failed = observed.error
    if failed is None or failed.error is None:
        yield Finding("refusal", "accepted", holds=False)
        return
    error = failed.error
    named = all(re.search(pattern, error.message, re.IGNORECASE) for pattern in expected.patterns)
    plain = error.message.isprintable() and len(error.message) <= _SENTENCE_CHARS
    holds = error.code == expected.code and named and plain and not error.retriable
    yield Finding("refusal", f"{error.code}: {_brief(error.message)}", holds=holds)


def steps(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """Every step completes, or is skipped for the expected reason."""
    skipped, failed = expected.skipped or {}, expected.failed or {}
    for step, ending in observed.endings.items():
        right = f"skipped: {skipped[step]}" if step in skipped else failed.get(step, "completed")
        if ending.code != right:
            yield Finding(step, _described(ending), holds=False)


def _described(ending: Ending) -> str:
    return f"{ending.code}: {_brief(ending.error.message)}" if ending.error else ending.code


def _brief(message: str) -> str:
    return message if len(message) <= 120 else f"{message[:120]}…"


def duration(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """The ladder, its picture and its sound last as long as the source."""
    lengths = {}
    if observed.video and len(observed.video.frames) > 1:
        frames = observed.video.frames
        lengths["picture"] = 2 * frames[-1].at_s - frames[-2].at_s
    if observed.sound:
        lengths["sound"] = observed.sound.end_s
    if observed.download:
        lengths["audio.m4a"] = observed.download.end_s
    for what, seconds in lengths.items():
        holds = abs(seconds - expected.seconds) <= expected.duration_slack_s
        yield Finding(f"length of {what}", f"{seconds:.2f} of {expected.seconds:.2f} s", holds=holds)


def named_outputs(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """Tracks and chapters that are not published are named in the outputs."""
    outputs = json.dumps([ending.outputs for ending in observed.endings.values()], default=str).lower()
    for name in expected.named_outputs:
        found = name in outputs
        yield Finding(name, "named in the outputs" if found else "not mentioned", holds=found)


def warnings(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """What is wrong with the source is reported, with its place; of a good source nothing is."""
    found = list(_warnings(observed))
    for damage in expected.warnings:
        yield Finding(damage.code, _places(found, damage.code), holds=any(_is_at(one, damage) for one in found))
    codes = {damage.code for damage in expected.warnings}
    for one in found:
        if one.code not in codes:
            yield Finding("warning", f"{one.code}: {_brief(one.message)}", holds=False)


def _warnings(observed: Observed) -> Iterator[OutputWarning]:
    for ending in observed.endings.values():
        yield from msgspec.convert((ending.outputs or {}).get("warnings", []), list[OutputWarning])


def _is_at(warning: OutputWarning, damage: Damage) -> bool:
    """Whether the place of a warning lies in the damaged stretch, and is long enough."""
    if damage.least_s < 0:
        return warning.code == damage.code and warning.start_ms is None
    if warning.code != damage.code or warning.start_ms is None or warning.end_ms is None:
        return False
    start_s, end_s = warning.start_ms / 1000, warning.end_ms / 1000
    return damage.from_s <= start_s <= end_s <= damage.to_s and end_s - start_s >= damage.least_s


def _places(found: list[OutputWarning], code: str) -> str:
    places = [
        f"{(one.start_ms or 0) / 1000:.2f} to {(one.end_ms or 0) / 1000:.2f} s" for one in found if one.code == code
    ]
    return ", ".join(places) or "no warning"
