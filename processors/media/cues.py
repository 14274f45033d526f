"""Captions out of a transcript: cues of at most two lines that never overlap and can be read. Pure.

Source: Netflix, Timed Text Style Guide, general requirements (length, duration, speed, gap); W3C WebVTT.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from processors.media.line_breaks import (
    COLUMNS,
    begins_no_line,
    columns,
    is_leading,
    is_run_on,
    is_wide,
    most_columns,
    units,
)
from schemas.transcribe import TranscriptSegment, Word

LINES = 2
#: Longest and shortest that a cue is shown.
_MAX_MS, _MIN_MS = 7000, 834
#: Letters that are read in a second; of wide scripts.
_CHARS_PER_S, _WIDE_CHARS_PER_S = 20, 9
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


class _Shown(NamedTuple):
    """Words of a cue, and when it appears."""

    start_ms: int
    words: list[_Spoken]

    @property
    def readable_ms(self) -> int:
        """How soon it may disappear."""
        return self.start_ms + _needed_ms(_text(self.words))

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


def cues(segments: Sequence[TranscriptSegment]) -> list[Cue]:
    """The cues of a transcript, in order."""
    shown = _scheduled(_groups(_spoken(segments)))
    following = [*(one.words[0].start_ms for one in shown), None][1:]
    return [
        Cue(one.start_ms, one.end_ms(next_ms), _lines(one.words) or (_text(one.words),))
        for one, next_ms in zip(shown, following, strict=False)
    ]


def _spoken(segments: Iterable[TranscriptSegment]) -> Iterator[_Spoken]:
    """Everything that was said, in pieces between which a line may break."""
    last: _Spoken | None = None
    for segment in segments:
        for piece in _pieces(segment):
            if (
                last
                and begins_no_line(piece.text)
                and columns(joint := last.text + piece.gap + piece.text) <= COLUMNS // 2
            ):
                last = last._replace(end_ms=max(last.end_ms, piece.end_ms), text=joint)
                continue
            if last:
                yield last
            last = piece._replace(gap=_between(last, piece)) if last else piece
    if last:
        yield last


def _between(last: _Spoken, piece: _Spoken) -> str:
    """The gap; none between sentences of a script without spaces."""
    return "" if piece.begins and is_run_on(last.text[-1]) and is_run_on(piece.text[0]) else piece.gap


def _pieces(segment: TranscriptSegment) -> Iterator[_Spoken]:
    begins, at = True, 0
    for word in segment.words or spread_words(segment):
        gap, at = _gap(segment.text, " ".join(word.text.split()), at)
        for piece in _parts(word, " " if begins else gap):
            yield piece._replace(begins=begins)
            begins = False


def _parts(word: Word, gap: str) -> Iterator[_Spoken]:
    """A word as its units, each for its share of the time."""
    parts = [(unit, " " if not place else "") for text in word.text.split() for place, unit in enumerate(units(text))]
    whole, span_ms, done = sum(len(unit) for unit, _ in parts), max(word.end_ms - word.start_ms, 1), 0
    for number, (unit, space) in enumerate(parts):
        begin, done = done, done + len(unit)
        from_ms, to_ms = (max(0, word.start_ms) + span_ms * letters // whole for letters in (begin, done))
        yield _Spoken(from_ms, max(to_ms, from_ms + 1), unit, space if number else gap, begins=False)


def _gap(text: str, word: str, at: int) -> tuple[str, int]:
    """What is between a word and the one before it in a text, of which `at` letters are done; and letters done."""
    found = text.find(word, at)
    if found < 0:
        return (" " if " " in text.strip() or not is_run_on(word[:1]) else ""), at
    return " " if found > at else "", found + len(word)


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
    return group[-1].end_ms - group[0].start_ms <= _MAX_MS and _lines(group) is not None


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


def _text(group: Sequence[_Spoken]) -> str:
    return "".join(word.gap + word.text for word in group).strip()


def _lines(group: Sequence[_Spoken]) -> tuple[str, ...] | None:
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


def _line_quality(lines: tuple[str, str], group: Sequence[_Spoken], cut: int) -> tuple[bool, bool, int]:
    """Of a break into two lines: at the end of a clause, not behind an article, into lines of similar length."""
    left = group[cut - 1].text
    uneven = abs(columns(lines[0]) - columns(lines[1]))
    at_clause = left.endswith(_CLAUSE_ENDS) and uneven <= COLUMNS // 2
    return at_clause, not is_leading(left), -uneven


def _needed_ms(text: str) -> int:
    """How long it takes to read."""
    letters = sum(not unicodedata.combining(letter) for letter in text)
    speed = _WIDE_CHARS_PER_S if is_wide(text) else _CHARS_PER_S
    return max(_MIN_MS, -(-letters * 1000 // speed))


def _scheduled(groups: Iterable[list[_Spoken]]) -> list[_Shown]:
    """When each group appears; one without time to be read is joined with the next."""
    shown: list[_Shown] = []
    for group in groups:
        start_ms = group[0].start_ms
        if shown:
            last = shown[-1]
            if last.readable_ms > start_ms + _LATE_MS and _fits(last.words + group):
                shown[-1] = last._replace(words=last.words + group)
                continue
            start_ms = max(start_ms, last.end_ms(start_ms))
        shown.append(_Shown(start_ms, group))
    return shown


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
