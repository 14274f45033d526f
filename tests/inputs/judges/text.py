"""The transcript against the spoken text, and captions against the caption rules.

Source: Netflix Timed Text Style Guide (general, Japanese, Chinese), W3C WebVTT.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
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
#: How far the starts of words may be from what is spoken.
_OFF_P50_MS, _OFF_P95_MS = 80, 250
#: Full stops, closing brackets and their kin do not begin a line. Source: JIS X 4051, W3C CLREQ.
_CLOSING = re.compile(r"^[\s]*[,.;:!?%)\]}»”’、。，．；：！？）」』】〉》…ー々،؛؟۔।॥៖។။၊]")  # noqa: RUF001 - full-width marks
_WORD = re.compile(r"[\w']+")


def speech(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """Word error rate of the transcript, and the start of its first cue."""
    speech_, captions = expected.speech, observed.captions
    if speech_ is None or captions is None:
        return
    rate = error_rate(speech_.text, captions.text)
    yield Finding("words", f"{rate:.0%} wrong", holds=rate <= speech_.error_rate)
    yield from _first(speech_, captions)
    yield from _starts(speech_, captions)


def _first(expected: Speech, captions: Captions) -> Iterator[Finding]:
    if expected.first_s is None or not captions.cues:
        return
    first_s = captions.cues[0].start_s
    holds = abs(first_s - expected.first_s) <= expected.first_slack_s
    yield Finding("first cue", f"at {first_s:.2f} of {expected.first_s:.2f} s", holds=holds)


def _starts(expected: Speech, captions: Captions) -> Iterator[Finding]:
    """How far the starts of the words are from those that are known, of the words that were understood."""
    if expected.starts is None:
        return
    known, found = expected.starts(), captions.words
    bare = [["".join(words(text)) for text, _ in spoken] for spoken in (known, found)]
    blocks = SequenceMatcher(None, bare[0], bare[1], autojunk=False).get_matching_blocks()
    pairs = [(one.a + place, one.b + place) for one in blocks for place in range(one.size)]
    errors_ms = sorted(abs(found[there][1] - known[here][1]) * 1000 for here, there in pairs)
    if len(errors_ms) < len(known) // 2:
        yield Finding("starts of words", f"{len(errors_ms)} of {len(known)} words understood", holds=False)
        return
    half_ms, most_ms = errors_ms[len(errors_ms) // 2], errors_ms[len(errors_ms) * 95 // 100]
    measured = f"off by p50 {half_ms:.0f} ms, p95 {most_ms:.0f} ms, of {len(errors_ms)} words"
    yield Finding("starts of words", measured, holds=half_ms <= _OFF_P50_MS and most_ms <= _OFF_P95_MS)


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
    wrong += [text for one, two in pairwise(captions.cues) for text in broken_between(one, two)]
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


def broken_between(one: Cue, two: Cue) -> Iterator[str]:
    """The rules that two cues in a row break."""
    gap_s = two.start_s - one.end_s
    if gap_s < -_SLACK_S:
        yield f"at {two.start_s:.2f} s: two cues at once"
    elif _SLACK_S < gap_s < _GAP_S - _SLACK_S:
        yield f"at {two.start_s:.2f} s: a gap of {gap_s * 1000:.0f} ms"
