"""The transcript against the spoken text, and captions against the caption rules.

Source: Netflix Timed Text Style Guide (general, Japanese, Chinese), W3C WebVTT.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.inputs.expected import Plays, Speech
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import Captions, Cue, Observed

_LINES, _COLUMNS, _WIDE_COLUMNS = 2, 42, 32
_CHARS_PER_S, _WIDE_CHARS_PER_S = 20.0, 9.0
_SHORTEST_S, _LONGEST_S = 5 / 6, 7.0
#: Two frames at 24 fps: a smaller gap flickers.
_GAP_S = 2 / 24
_SLACK_S = 0.002
#: Full stops, closing brackets and their kin do not begin a line. Source: JIS X 4051, W3C CLREQ.
_CLOSING = re.compile(r"^[\s]*[,.;:!?%)\]}»”’、。，．；：！？）」』】〉》…ー々]")  # noqa: RUF001 - full-width marks
_WORD = re.compile(r"[\w']+")


def speech(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """Word error rate of the transcript, and the start of its first cue."""
    speech_, captions = expected.speech, observed.captions
    if speech_ is None or captions is None:
        return
    rate = error_rate(speech_.text, captions.text)
    yield Finding("words", f"{rate:.0%} wrong", holds=rate <= speech_.error_rate)
    yield from _first(speech_, captions)


def _first(expected: Speech, captions: Captions) -> Iterator[Finding]:
    if expected.first_s is None or not captions.cues:
        return
    first_s = captions.cues[0].start_s
    holds = abs(first_s - expected.first_s) <= expected.first_slack_s
    yield Finding("first cue", f"at {first_s:.2f} of {expected.first_s:.2f} s", holds=holds)


def error_rate(spoken: str, transcript: str) -> float:
    """Word error rate: wrong, missing and added words as a share of the spoken ones."""
    reference, hypothesis = words(spoken), words(transcript)
    return distance(reference, hypothesis) / max(1, len(reference))


def words(text: str) -> list[str]:
    """Words without case and punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Fewest changes, omissions and additions that make one of the other. Source: Levenshtein 1966."""
    row = list(range(len(other) + 1))
    for place, item in enumerate(one, 1):
        before, row[0] = row[0], place
        for column, candidate in enumerate(other, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (item != candidate))
    return row[-1]


def cues(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """Every cue keeps the caption rules; the captions are offered, not forced on anybody."""
    captions = observed.captions
    if not expected.cues or captions is None:
        return
    wrong = [text for cue in captions.cues for text in broken(cue)]
    wrong += [text for one, two in pairwise(captions.cues) for text in _between(one, two)]
    words_ = f"{wrong[0]}" + (f" and {len(wrong) - 1} more" if wrong[1:] else "") if wrong else "conform"
    yield Finding("cues", f"{len(captions.cues)}: {words_}", holds=bool(captions.cues) and not wrong)
    listed = {name: captions.listed.get(name) for name in ("DEFAULT", "AUTOSELECT")}
    holds = listed == {"DEFAULT": "NO", "AUTOSELECT": "YES"}
    yield Finding("listing", ", ".join(f"{name}={value}" for name, value in listed.items()), holds=holds)


def broken(cue: Cue) -> Iterator[str]:
    """The rules that a cue breaks."""
    wide = any(unicodedata.east_asian_width(letter) in "WF" for line in cue.lines for letter in line)
    seconds = cue.end_s - cue.start_s
    at = f"at {cue.start_s:.2f} s"
    if len(cue.lines) > _LINES:
        yield f"{at}: {len(cue.lines)} lines"
    if (widest := max(map(columns, cue.lines), default=0)) > (_WIDE_COLUMNS if wide else _COLUMNS):
        yield f"{at}: {widest} columns"
    if not _SHORTEST_S - _SLACK_S <= seconds <= _LONGEST_S + _SLACK_S:
        yield f"{at}: {seconds:.2f} s"
    letters = sum(not unicodedata.combining(letter) for line in cue.lines for letter in line)
    if letters / max(seconds, 0.001) > (_WIDE_CHARS_PER_S if wide else _CHARS_PER_S) + 0.1:
        yield f"{at}: {letters / max(seconds, 0.001):.0f} characters a second"
    if any(_CLOSING.match(line) for line in cue.lines):
        yield f"{at}: a line begins with closing punctuation"


def columns(line: str) -> int:
    """Width of a line: wide letters count twice, marks not at all. Source: Unicode UAX 11."""
    return sum(
        0 if unicodedata.category(letter) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in line
    )


def _between(one: Cue, two: Cue) -> Iterator[str]:
    gap_s = two.start_s - one.end_s
    if gap_s < -_SLACK_S:
        yield f"at {two.start_s:.2f} s: two cues at once"
    elif _SLACK_S < gap_s < _GAP_S - _SLACK_S:
        yield f"at {two.start_s:.2f} s: a gap of {gap_s * 1000:.0f} ms"
