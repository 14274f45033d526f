"""Cuts a transcript into passages for search: 100-200 tokens, at sentence ends or pauses, overlapping. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from schemas.embed import Passage
from schemas.transcribe import Transcript, TranscriptSegment

#: Changes whenever the same words would be cut in another way: vectors of different cuts are not compared.
CHUNKER_VERSION = 1

#: Tokens of a passage; a transcript with fewer is one passage. Source: MiniLM reads 256 of its own tokens.
MIN_TOKENS, MAX_TOKENS = 100, 200
#: What two neighbours have in common, as a share of the first one's tokens.
_LEAST_OVERLAP, _MOST_OVERLAP = 0.10, 0.20
#: Silence between two words that is as good a cut as the end of a sentence.
_PAUSE_MS = 700
#: Letters that an average token of a subword vocabulary stands for.
_LETTERS_A_TOKEN = 4
#: Longest atom: with at most this many tokens, there is a cut in every overlap.
_ATOM_TOKENS = 10

#: Scripts that are written without spaces: each character is a token.
_UNSPACED = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_ATOM = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,{_ATOM_TOKENS * _LETTERS_A_TOKEN}}})")
_SENTENCE_END = re.compile(r"[.!?…。！？؟।][\"'»”’)\]]*$")  # noqa: RUF001  punctuation of other scripts


class Speech(NamedTuple):
    """A piece of what was said, in order: a word, or a whole segment where no words are known."""

    #: With the space in front that it is written with.
    text: str
    start_ms: int
    end_ms: int
    #: Id of the transcript segment that it is part of.
    segment: int


class Atom(NamedTuple):
    """The smallest piece between two possible cuts."""

    text: str
    start_ms: int
    end_ms: int
    segment: int
    tokens: int


def speech_of(transcript: Transcript) -> list[Speech]:
    """What was said, by words where the transcript has their times, by segments elsewhere."""
    return [piece for segment in transcript.segments for piece in _pieces(segment)]


def _pieces(segment: TranscriptSegment) -> list[Speech]:
    """The segment's text is what counts: words that do not add up to it are passed over."""
    pieces, end = [], 0
    for word in segment.words:
        begin = segment.text.find(word.text.strip(), end)
        if begin < 0 or segment.text[end:begin].strip():
            return [Speech(segment.text, segment.start_ms, segment.end_ms, segment.id)]
        begin, end = end, begin + len(word.text.strip())
        pieces.append(Speech(segment.text[begin:end], word.start_ms, word.end_ms, segment.id))
    if not pieces or segment.text[end:].strip():
        return [Speech(segment.text, segment.start_ms, segment.end_ms, segment.id)]
    return pieces


def passages(speech: Sequence[Speech]) -> list[Passage]:
    """The passages of `speech`, in order; together they hold every word, and no one is without words."""
    atoms = [atom for piece in speech for atom in _atoms(piece)]
    return [_passage(atoms[begin:end]) for begin, end in _spans(atoms)]


def _tokens(atom: str) -> int:
    return -(-len(atom.strip()) // _LETTERS_A_TOKEN)


def _atoms(piece: Speech) -> Iterator[Atom]:
    """The piece's atoms; their times share its time by letters."""
    whole, length_ms = max(len(piece.text.rstrip()), 1), max(piece.end_ms - piece.start_ms, 0)
    for found in _ATOM.finditer(piece.text):
        start, end = (piece.start_ms + length_ms * place // whole for place in found.span())
        yield Atom(found.group(), start, end, piece.segment, _tokens(found.group()))


def _spans(atoms: Sequence[Atom]) -> Iterator[tuple[int, int]]:
    """Where each passage begins and ends, as indexes into `atoms`."""
    if not atoms:
        return
    before = [0, *accumulate(atom.tokens for atom in atoms)]
    quality = [0, *(_cut_quality(left, right) for left, right in pairwise(atoms)), 0]
    begin = 0
    while True:
        end = _end(before, quality, begin)
        yield begin, end
        if end == len(atoms):
            return
        begin = _next_begin(before, quality, begin, end)


def _cut_quality(left: Atom, right: Atom) -> int:
    """How good a cut between two atoms is: 0 in a word, 1 between words, more at a sentence end or a pause."""
    ends, pauses = bool(_SENTENCE_END.search(left.text)), right.start_ms - left.end_ms >= _PAUSE_MS
    apart = right.text[:1].isspace() or right.segment != left.segment
    return 1 * (apart or ends) + 2 * pauses + 3 * ends


def _end(before: Sequence[int], quality: Sequence[int], begin: int) -> int:
    """The best cut that leaves this passage and the rest long enough; of equal ones the last."""
    last = len(before) - 1
    left = before[last] - before[begin]
    if left <= MAX_TOKENS:
        return last
    # What follows gets at least a tenth of this one again.
    most = min(MAX_TOKENS, left - int(MIN_TOKENS * (1 - _LEAST_OVERLAP)))
    cuts = (cut for cut in range(begin + 1, last) if MIN_TOKENS <= before[cut] - before[begin] <= most)
    return max(cuts, key=lambda cut: (quality[cut], cut))


def _next_begin(before: Sequence[int], quality: Sequence[int], begin: int, end: int) -> int:
    """The best cut for the overlap; of equal ones the one nearest to its middle."""
    length = before[end] - before[begin]
    middle = length * (_LEAST_OVERLAP + _MOST_OVERLAP) / 2

    def overlap(cut: int) -> int:
        return before[end] - before[cut]

    cuts = (cut for cut in range(begin + 1, end) if _LEAST_OVERLAP * length <= overlap(cut) <= _MOST_OVERLAP * length)
    return max(cuts, key=lambda cut: (quality[cut], -abs(overlap(cut) - middle)))


def _passage(atoms: Sequence[Atom]) -> Passage:
    return Passage(
        start_ms=atoms[0].start_ms,
        end_ms=atoms[-1].end_ms,
        text=_joined(atoms),
        segments=tuple(dict.fromkeys(atom.segment for atom in atoms)),
    )


def _joined(atoms: Sequence[Atom]) -> str:
    """The atoms as they are written; between segments there is always a space."""
    pieces = [atoms[0].text]
    for left, right in pairwise(atoms):
        pieces.append(right.text if left.segment == right.segment else f" {right.text}")
    return " ".join("".join(pieces).split())
