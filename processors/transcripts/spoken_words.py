"""What was said, as pieces between which a line of captions may break, each with its time. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from processors.transcripts.line_breaks import COLUMNS, begins_no_line, columns, is_run_on, units
from schemas.transcribe import TranscriptSegment, Word


class SpokenWord(NamedTuple):
    """A word on its way into a cue."""

    start_ms: int
    end_ms: int
    text: str
    #: What stands between it and the word before.
    gap: str
    #: Whether it is the first of its segment.
    begins: bool


def spoken_words(segments: Iterable[TranscriptSegment]) -> Iterator[SpokenWord]:
    """Everything that was said, in pieces between which a line may break."""
    last: SpokenWord | None = None
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


def _between(last: SpokenWord, piece: SpokenWord) -> str:
    """The gap; none between sentences of a script without spaces."""
    return "" if piece.begins and is_run_on(last.text[-1]) and is_run_on(piece.text[0]) else piece.gap


def _pieces(segment: TranscriptSegment) -> Iterator[SpokenWord]:
    begins, at = True, 0
    for word in segment.words or spread_words(segment):
        gap, at = _gap(segment.text, " ".join(word.text.split()), at)
        for piece in _parts(word, " " if begins else gap):
            yield piece._replace(begins=begins)
            begins = False


def _parts(word: Word, gap: str) -> Iterator[SpokenWord]:
    """A word as its units, each for its share of the time."""
    parts = [(unit, " " if not place else "") for text in word.text.split() for place, unit in enumerate(units(text))]
    whole, span_ms, done = sum(len(unit) for unit, _ in parts), max(word.end_ms - word.start_ms, 1), 0
    for number, (unit, space) in enumerate(parts):
        begin, done = done, done + len(unit)
        from_ms, to_ms = (max(0, word.start_ms) + span_ms * letters // whole for letters in (begin, done))
        yield SpokenWord(from_ms, max(to_ms, from_ms + 1), unit, space if number else gap, begins=False)


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
