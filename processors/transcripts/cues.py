"""Captions out of a transcript: cues of at most two lines that never overlap and can be read. Pure.

Source: Netflix, Timed Text Style Guide, general requirements (length, duration, speed, gap).
"""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from processors.transcripts.line_breaks import COLUMNS, columns, is_leading, is_wide, most_columns
from processors.transcripts.spoken_words import SpokenWord, spoken_words
from schemas.transcribe import TranscriptSegment

LINES = 2
#: Longest and shortest that a cue is shown.
_MAX_MS, _MIN_MS = 7000, 834
#: How long a cue may be shown after the next word has begun: 12 frames. It takes precedence over speed and duration.
_LATE_MS = 500
#: Two frames: between cues there is no gap, or one of that length; a shorter one flickers.
_GAP_MS = 84
#: A silence of that length ends a cue.
_PAUSE_MS = 800
#: After these a cue may end early, once it has been shown for _MIN_MS.
_SENTENCE_ENDS = tuple(".!?…。！？؟۔।॥។။")  # noqa: RUF001 - full-width, Arabic, Indic, Khmer and Burmese marks
#: After these, and where somebody takes a breath, what is too long for one cue is cut.
_CLAUSE_ENDS = (*_SENTENCE_ENDS, *",;:、，،؛၊")  # noqa: RUF001
_BREATH_MS = 300


class ReadingSpeed(NamedTuple):
    """How fast viewers read."""

    #: Letters in a second.
    chars_per_s: float = 20.0
    #: The same in a script of wide letters: Chinese, Japanese, Korean.
    wide_chars_per_s: float = 9.0

    def needed_ms(self, text: str) -> int:
        """How long it takes to read a text, at least as long as a cue is shown."""
        letters = sum(not unicodedata.combining(letter) for letter in text)
        speed = self.wide_chars_per_s if is_wide(text) else self.chars_per_s
        return max(_MIN_MS, math.ceil(letters * 1000 / speed))


class Cue(NamedTuple):
    """What is shown from one moment to another."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


class _Shown(NamedTuple):
    """Words of a cue, and when it appears."""

    start_ms: int
    words: list[SpokenWord]
    speed: ReadingSpeed

    @property
    def readable_ms(self) -> int:
        """How soon it may disappear."""
        return self.start_ms + self.speed.needed_ms(_text(self.words))

    def end_ms(self, next_ms: int | None) -> int:
        """When it disappears, if the next word begins at `next_ms`."""
        spoken_ms = max(word.end_ms for word in self.words)
        if next_ms is None:
            return min(max(spoken_ms, self.readable_ms), self.start_ms + _MAX_MS)
        end_ms = min(max(min(spoken_ms, next_ms), self.readable_ms), next_ms + _LATE_MS, self.start_ms + _MAX_MS)
        end_ms = max(end_ms, self.start_ms + 1)
        if 0 < next_ms - end_ms < _GAP_MS:  # flickers
            return next_ms if next_ms <= self.start_ms + _MAX_MS else next_ms - _GAP_MS
        return end_ms


_DEFAULT = ReadingSpeed()


def cues(segments: Sequence[TranscriptSegment], speed: ReadingSpeed = _DEFAULT) -> list[Cue]:
    """The cues of a transcript, in order. One that is not shown long enough to be read is as long as speech allows."""
    shown = _scheduled(_groups(spoken_words(segments), speed), speed)
    following = [*(one.words[0].start_ms for one in shown), None][1:]
    return [
        Cue(one.start_ms, one.end_ms(next_ms), _lines(one.words) or (_text(one.words),))
        for one, next_ms in zip(shown, following, strict=False)
    ]


def _groups(spoken: Iterable[SpokenWord], speed: ReadingSpeed) -> Iterator[list[SpokenWord]]:
    for stretch in _stretches(spoken):
        yield from _fitting(stretch, speed)


def _stretches(spoken: Iterable[SpokenWord]) -> Iterator[list[SpokenWord]]:
    """What is said without a pause, and without the end of a sentence after which a cue may end."""
    stretch: list[SpokenWord] = []
    for word in spoken:
        if stretch and _ends_before(stretch, word):
            yield stretch
            stretch = []
        stretch.append(word)
    if stretch:
        yield stretch


def _ends_before(stretch: Sequence[SpokenWord], word: SpokenWord) -> bool:
    first, last = stretch[0], stretch[-1]
    long_enough = last.end_ms - first.start_ms >= _MIN_MS
    return word.start_ms - last.end_ms > _PAUSE_MS or (last.text.endswith(_SENTENCE_ENDS) and long_enough)


def _fitting(stretch: list[SpokenWord], speed: ReadingSpeed) -> Iterator[list[SpokenWord]]:
    """The stretch, cut where it reads best until each part fits: no part is left with a word that stands alone."""
    if len(stretch) == 1 or _fits(stretch, speed):
        yield stretch
        return
    cut = _best_cut(stretch)
    yield from _fitting(stretch[:cut], speed)
    yield from _fitting(stretch[cut:], speed)


def _fits(group: Sequence[SpokenWord], speed: ReadingSpeed) -> bool:
    """Whether one cue can show it: not for too long, in two lines, and no more than can be read in the longest time."""
    span_ms = max(group[-1].end_ms - group[0].start_ms, speed.needed_ms(_text(group)))
    return span_ms <= _MAX_MS and _lines(group) is not None


def _best_cut(stretch: Sequence[SpokenWord]) -> int:
    """Before which word: of the best places in the middle half, the one nearest to the middle."""
    before = list(accumulate(len(word.gap) + len(word.text) for word in stretch))
    whole = before[-1]

    def rank(cut: int) -> tuple[bool, int, int]:
        off = abs(2 * before[cut - 1] - whole)
        central = off <= whole // 2
        return central, _cut_quality(stretch[cut - 1], stretch[cut]) if central else 0, -off

    return max(range(1, len(stretch)), key=rank)


def _cut_quality(left: SpokenWord, right: SpokenWord) -> int:
    return left.text.endswith(_CLAUSE_ENDS) + right.begins + (right.start_ms - left.end_ms >= _BREATH_MS)


def _text(group: Sequence[SpokenWord]) -> str:
    return "".join(word.gap + word.text for word in group).strip()


def _lines(group: Sequence[SpokenWord]) -> tuple[str, ...] | None:
    """One line or two, broken where it reads best; None where the words do not fit."""
    whole = _text(group)
    limit = most_columns(whole)
    if columns(whole) <= limit:
        return (whole,)
    if columns(whole) > LINES * limit + 1:  # cheap: most groups that do not fit are much too long
        return None
    halves = [((_text(group[:cut]), _text(group[cut:])), cut) for cut in range(1, len(group))]
    fitting = [(lines, cut) for lines, cut in halves if max(map(columns, lines)) <= limit]
    return max(fitting, key=lambda one: _line_quality(one[0], group, one[1]))[0] if fitting else None


def _line_quality(lines: tuple[str, str], group: Sequence[SpokenWord], cut: int) -> tuple[bool, bool, int]:
    """Of a break into two lines: at the end of a clause, not behind an article, into lines of similar length."""
    left = group[cut - 1].text
    uneven = abs(columns(lines[0]) - columns(lines[1]))
    at_clause = left.endswith(_CLAUSE_ENDS) and uneven <= COLUMNS // 2
    return at_clause, not is_leading(left), -uneven


def _scheduled(groups: Iterable[list[SpokenWord]], speed: ReadingSpeed) -> list[_Shown]:
    """When each group appears; one without time to be read is joined with the next."""
    shown: list[_Shown] = []
    for group in groups:
        start_ms = group[0].start_ms
        if shown:
            last = shown[-1]
            if last.readable_ms > start_ms + _LATE_MS and _fits(last.words + group, speed):
                shown[-1] = last._replace(words=last.words + group)
                continue
            start_ms = max(start_ms, last.end_ms(start_ms))
        shown.append(_Shown(start_ms, group, speed))
    return shown


def overlaps(found: Sequence[Cue]) -> bool:
    """Whether any two cues would be shown at once."""
    return any(one.end_ms > two.start_ms for one, two in pairwise(found))
