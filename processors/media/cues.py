"""Captions out of a transcript: cues of at most two lines of 42 characters that never overlap. Pure.

Source: BBC and Netflix subtitle guidelines (line length, duration); W3C WebVTT.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from schemas.transcribe import TranscriptSegment, Word

LINE_CHARS, LINES = 42, 2
#: Longest that a cue stands.
_MAX_MS = 7000
#: A silence of that length ends a cue.
_PAUSE_MS = 800
#: Shortest that a cue stands, where nothing follows it sooner.
_MIN_MS = 800
#: After these a cue may end early, once it has stood for _MIN_MS.
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001 - full-width marks end sentences too
#: After these, and where somebody takes a breath, what is too long for one cue is cut.
_CLAUSE_ENDS = (*_SENTENCE_ENDS, ",", ";", ":", "、", "，")  # noqa: RUF001
_BREATH_MS = 300


class Cue(NamedTuple):
    """What is shown from one moment to another."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


class _Spoken(NamedTuple):
    """A word on its way into a cue."""

    start_ms: int
    end_ms: int
    text: str
    #: What stands between it and the word before.
    gap: str
    #: Whether it is the first of its segment.
    begins: bool


def cues(segments: Sequence[TranscriptSegment]) -> list[Cue]:
    """The cues of a transcript, in order."""
    found = [_cue(group) for group in _groups(_spoken(segments))]
    return list(_apart(found))


def _spoken(segments: Iterable[TranscriptSegment]) -> Iterator[_Spoken]:
    for segment in segments:
        gap = " " if " " in segment.text.strip() or not _is_run_on(segment.text) else ""
        for number, word in enumerate(segment.words or spread_words(segment)):
            text = " ".join(word.text.split())
            for at in range(0, len(text), LINE_CHARS):  # no word is longer than a line
                piece = text[at : at + LINE_CHARS]
                before = "" if at else " " if number == 0 else gap
                begins = number == 0 and at == 0
                yield _Spoken(word.start_ms, max(word.end_ms, word.start_ms + 1), piece, before, begins)


def _is_run_on(text: str) -> bool:
    """Whether the script writes words without spaces: Chinese, Japanese, Thai and their kin. Source: Unicode blocks."""
    return any("\u0e00" <= letter <= "\u0eff" or "\u3040" <= letter <= "\u9fff" for letter in text)


def spread_words(segment: TranscriptSegment) -> tuple[Word, ...]:
    """Its words at even pace, where the model gave no times."""
    texts = segment.text.split()
    whole = sum(len(text) for text in texts)
    words, done = [], 0
    for text in texts:
        begin, done = done, done + len(text)
        span = segment.end_ms - segment.start_ms
        start_ms, end_ms = (segment.start_ms + span * at // max(whole, 1) for at in (begin, done))
        words.append(Word(start_ms=start_ms, end_ms=end_ms, text=text))
    return tuple(words)


def _groups(spoken: Iterable[_Spoken]) -> Iterator[list[_Spoken]]:
    for stretch in _stretches(spoken):
        yield from _fitting(stretch)


def _stretches(spoken: Iterable[_Spoken]) -> Iterator[list[_Spoken]]:
    """What is said without a pause, and without the end of a sentence after which a cue may end."""
    stretch: list[_Spoken] = []
    for word in spoken:
        if stretch and _ends_before(stretch, word):
            yield stretch
            stretch = []
        stretch.append(word)
    if stretch:
        yield stretch


def _ends_before(stretch: Sequence[_Spoken], word: _Spoken) -> bool:
    first, last = stretch[0], stretch[-1]
    long_enough = last.end_ms - first.start_ms >= _MIN_MS
    return word.start_ms - last.end_ms > _PAUSE_MS or (last.text.endswith(_SENTENCE_ENDS) and long_enough)


def _fitting(stretch: list[_Spoken]) -> Iterator[list[_Spoken]]:
    """The stretch, cut where it reads best until each part fits: no part is left with a word that stands alone."""
    if len(stretch) == 1 or _fits(stretch):
        yield stretch
        return
    cut = _best_cut(stretch)
    yield from _fitting(stretch[:cut])
    yield from _fitting(stretch[cut:])


def _fits(group: Sequence[_Spoken]) -> bool:
    return group[-1].end_ms - group[0].start_ms <= _MAX_MS and len(_wrapped(group)) <= LINES


def _best_cut(stretch: Sequence[_Spoken]) -> int:
    """Before which word: of the best places in the middle half, the one nearest to the middle."""
    before = list(accumulate(len(word.gap) + len(word.text) for word in stretch))
    whole = before[-1]

    def rank(cut: int) -> tuple[bool, int, int]:
        off = abs(2 * before[cut - 1] - whole)
        central = off <= whole // 2
        return central, _cut_quality(stretch[cut - 1], stretch[cut]) if central else 0, -off

    return max(range(1, len(stretch)), key=rank)


def _cut_quality(left: _Spoken, right: _Spoken) -> int:
    return left.text.endswith(_CLAUSE_ENDS) + right.begins + (right.start_ms - left.end_ms >= _BREATH_MS)


def _wrapped(group: Sequence[_Spoken]) -> list[str]:
    text = "".join(word.gap + word.text for word in group).strip()
    return textwrap.wrap(text, LINE_CHARS, break_on_hyphens=False)


def _cue(group: list[_Spoken]) -> Cue:
    return Cue(group[0].start_ms, max(word.end_ms for word in group), tuple(_wrapped(group)))


def _apart(found: list[Cue]) -> Iterator[Cue]:
    """Each ends before the next begins, and stands long enough to be read where there is room."""
    end_ms = 0
    for number, cue in enumerate(found):
        next_ms = found[number + 1].start_ms if number + 1 < len(found) else None
        start_ms = max(cue.start_ms, end_ms)
        end_ms = max(cue.end_ms, start_ms + _MIN_MS)
        if next_ms is not None:
            end_ms = min(end_ms, max(next_ms, start_ms + 1))
        end_ms = max(end_ms, start_ms + 1)
        yield Cue(start_ms, end_ms, cue.lines)


def overlaps(found: Sequence[Cue]) -> bool:
    """Whether any two cues would be shown at once."""
    return any(one.end_ms > two.start_ms for one, two in pairwise(found))


def webvtt(found: Iterable[Cue], header: str = "") -> str:
    """WebVTT. `header`: a further line at its start."""
    blocks = ["\n".join(filter(None, ["WEBVTT", header]))]
    for cue in found:
        times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
        blocks.append("\n".join([times, *(_escaped(line) for line in cue.lines)]))
    return "\n\n".join(blocks) + "\n"


def subrip(found: Iterable[Cue]) -> str:
    """SubRip. It knows no escapes: what would be read as markup is written with look-alikes."""
    blocks = []
    for number, cue in enumerate(found, 1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        blocks.append("\n".join([str(number), times, *(_unmarked(line) for line in cue.lines)]))
    return "\n\n".join(blocks) + "\n"


def plain_text(segments: Iterable[TranscriptSegment]) -> str:
    """What was said, a line for each segment."""
    return "".join(f"{' '.join(segment.text.split())}\n" for segment in segments)


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unmarked(line: str) -> str:
    return line.translate({ord("<"): "‹", ord(">"): "›", ord("{"): "(", ord("}"): ")"})  # noqa: RUF001


def _clock(at_ms: int, point: str) -> str:
    seconds, ms = divmod(at_ms, 1000)
    minutes, s = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{s:02d}{point}{ms:03d}"
