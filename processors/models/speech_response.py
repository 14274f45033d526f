"""Segments out of the response of a speech endpoint. Pure. Source: Hugging Face, Inference Providers."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from processors.errors import AnswerInvalid
from schemas.transcribe import TranscriptSegment


class _Chunk(msgspec.Struct, frozen=True):
    """One chunk of an endpoint's response."""

    text: str
    #: Start and end, seconds; the last end may be missing.
    timestamp: tuple[float | None, float | None]


class _Response(msgspec.Struct, frozen=True):
    """The response of a speech recognition endpoint. Source: Hugging Face, Inference Providers."""

    text: str
    chunks: list[_Chunk] | None = None


class _Spoken(NamedTuple):
    """A text and when it is spoken, on the media's clock."""

    from_s: float
    to_s: float
    text: str


def segments_of(response: Any, start_s: float, end_s: float, number: int) -> list[TranscriptSegment]:
    """Segments of an endpoint's response for one chunk, in order, numbered from `number`. Raises AnswerInvalid.

    Endpoints return texts that overlap, and texts that begin before the one that they returned before.
    """
    spoken = sorted(_spoken(_parsed(response), start_s, end_s), key=lambda one: one.from_s)
    return [
        TranscriptSegment(id=id_, start_ms=_ms(one.from_s), end_ms=_ms(one.to_s), text=one.text)
        for id_, one in enumerate(_apart(spoken), number)
    ]


def _parsed(response: Any) -> _Response:
    try:
        return msgspec.convert(response, _Response)
    except msgspec.ValidationError as error:
        raise AnswerInvalid("The endpoint's response is not a transcript.", detail=str(error)) from error


def _spoken(response: _Response, start_s: float, end_s: float) -> list[_Spoken]:
    chunks = response.chunks if response.chunks is not None else [_Chunk(response.text, (0.0, None))]
    found: list[_Spoken] = []
    for chunk in chunks:
        begin, end = chunk.timestamp
        at_s = found[-1].to_s if found else start_s
        from_s = min(max(start_s + begin if begin is not None else at_s, start_s), end_s)
        to_s = min(max(start_s + end, from_s), end_s) if end is not None else end_s
        if chunk.text.strip():
            found.append(_Spoken(from_s, to_s, chunk.text.strip()))
    return found


def _apart(spoken: Iterable[_Spoken]) -> Iterator[_Spoken]:
    """Texts that overlap share the time by their lengths."""
    last: _Spoken | None = None
    for one in spoken:
        if last is None:
            last = one
            continue
        cut_s = _cut_s(last, one)
        yield last._replace(to_s=min(last.to_s, cut_s))
        last = one._replace(from_s=max(one.from_s, cut_s), to_s=max(one.to_s, cut_s))
    if last is not None:
        yield last


def _cut_s(one: _Spoken, other: _Spoken) -> float:
    """Where the first of two texts makes way for the second."""
    if other.from_s >= one.to_s:
        return other.from_s
    span_s = max(one.to_s, other.to_s) - one.from_s
    share = len(one.text) / (len(one.text) + len(other.text))
    return min(max(one.from_s + span_s * share, other.from_s), one.to_s)


def _ms(at_s: float) -> int:
    return max(0, round(at_s * 1000))
