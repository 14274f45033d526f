"""Who turns speech into text: a model here, or one behind an endpoint. Both give the same."""

import asyncio
import base64
import math
import wave
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from processors.errors import AnswerInvalid
from processors.models.backends import Endpoint
from processors.models.host import ModelHost
from schemas.base import Json
from schemas.transcribe import SpeechModel, TranscriptSegment, Word

RATE_HZ = 16_000
#: Longest stretch of speech that an endpoint is sent at a time: 13 MB as base64.
_PIECE_S = 300
#: In so much of the end of a stretch the softest moment is looked for, in steps of this length.
_CUT_WITHIN_S, _CUT_STEP_S = 15, 0.1
#: Slow speech: so long for a word and each of its letters; beyond `_TOO_LONG` times that, silence was counted in.
_WORD_MS, _LETTER_MS, _TOO_LONG = 250, 90, 1.5


class Transcription(NamedTuple):
    """What a backend made of speech."""

    segments: tuple[TranscriptSegment, ...]
    language: str | None
    language_confidence: float | None
    #: Without the backend's name.
    model: SpeechModel


class Speech(NamedTuple):
    """What shall be transcribed."""

    #: WAV: 16 kHz, mono, 16 bit.
    path: Path
    duration_s: float
    #: ISO 639-1, where it is known.
    language: str | None


#: Called with each segment as soon as it is known, the language so far, and the share that is done, 0-1.
OnSegment = Callable[[TranscriptSegment | None, str | None, float], None]


class Transcribes(Protocol):
    """A backend."""

    async def transcribe(self, speech: Speech, on_segment: OnSegment) -> Transcription:
        """What was said. Raises BackendError."""
        ...


@dataclass(frozen=True, kw_only=True)
class LocalSpeech:
    """A model on this machine."""

    host: ModelHost
    #: Longest transcription: so many seconds, plus `time_factor` x the duration.
    time_s: float
    time_factor: float

    async def transcribe(self, speech: Speech, on_segment: OnSegment) -> Transcription:
        """What was said. Raises BackendError."""
        segments: list[TranscriptSegment] = []

        def take(part: Json) -> None:
            segment = None
            if part["segment"] is not None:
                segment = segment_of(len(segments), part["segment"])
                segments.append(segment)
            on_segment(segment, part["language"], part["done"])

        request = {"path": str(speech.path), "language": speech.language}
        timeout_s = self.time_s + self.time_factor * speech.duration_s
        answer = await self.host.ask(request, timeout_s=timeout_s, on_partial=take)
        return Transcription(
            segments=tuple(segments),
            language=answer["language"],
            language_confidence=round(answer["language_confidence"], 3),
            model=SpeechModel(backend="", **answer["model"]),
        )


def segment_of(number: int, told: Json) -> TranscriptSegment:
    """A segment as faster-whisper gave it."""
    words = tuple(_word(word) for word in told["words"])
    return TranscriptSegment(
        id=number,
        start_ms=words[0].start_ms if words else _ms(told["start_s"]),
        end_ms=words[-1].end_ms if words else _ms(told["end_s"]),
        text=told["text"].strip(),
        confidence=round(min(1.0, math.exp(told["logprob"])), 3),
        no_speech=round(told["no_speech"], 3),
        words=words,
    )


def _word(told: Json) -> Word:
    """A word; Whisper counts the silence before a word as part of it, which would show it a second too early."""
    text, start_ms, end_ms = told["text"].strip(), _ms(told["start_s"]), _ms(told["end_s"])
    plausible_ms = _WORD_MS + _LETTER_MS * len(text)
    if end_ms - start_ms > plausible_ms * _TOO_LONG:
        start_ms = end_ms - plausible_ms
    return Word(start_ms=start_ms, end_ms=end_ms, text=text, confidence=round(told["confidence"], 3))


class _Chunk(msgspec.Struct, frozen=True):
    """A part of an endpoint's answer."""

    text: str
    #: Start and end, seconds; the last end may be missing.
    timestamp: tuple[float | None, float | None]


class _Answer(msgspec.Struct, frozen=True):
    """What an endpoint for automatic speech recognition answers. Source: Hugging Face, Inference Providers."""

    text: str
    chunks: list[_Chunk] | None = None


@dataclass(frozen=True, kw_only=True)
class RemoteSpeech:
    """A model behind an endpoint of Hugging Face's inference shape."""

    endpoint: Endpoint

    async def transcribe(self, speech: Speech, on_segment: OnSegment) -> Transcription:
        """What was said, asked for in stretches of at most five minutes. Raises BackendError."""
        segments: list[TranscriptSegment] = []
        for start_s, end_s, piece in await asyncio.to_thread(lambda: list(pieces(speech.path))):
            body = await asyncio.to_thread(_body, piece, speech.language)
            answer = await self.endpoint.ask(body)
            done = end_s / max(speech.duration_s, end_s)
            fresh = heard_in(answer, start_s, end_s, len(segments))
            segments += fresh
            told: list[TranscriptSegment | None] = [*fresh] if fresh else [None]
            for segment in told:
                on_segment(segment, speech.language, done)
        model = SpeechModel(backend="")
        return Transcription(tuple(segments), speech.language, 1.0 if speech.language else None, model)


def _body(piece: bytes, language: str | None) -> Json:
    parameters: Json = {"return_timestamps": True}
    if language:
        parameters["generate_kwargs"] = {"language": language}
    return {"inputs": base64.b64encode(piece).decode(), "parameters": parameters}


def _read(answer: Any) -> _Answer:
    try:
        return msgspec.convert(answer, _Answer)
    except msgspec.ValidationError as error:
        raise AnswerInvalid("The endpoint answered something that is no transcript.", detail=str(error)) from error


def heard_in(answer: Any, start_s: float, end_s: float, number: int) -> list[TranscriptSegment]:
    """What an endpoint heard in a stretch of the sound, counted from `number`. Raises AnswerInvalid."""
    return list(_segments(_read(answer), start_s, end_s, number))


def _segments(answer: _Answer, start_s: float, end_s: float, number: int) -> Iterator[TranscriptSegment]:
    chunks = answer.chunks if answer.chunks is not None else [_Chunk(answer.text, (0.0, None))]
    at_s = start_s
    for chunk in chunks:
        begin, end = chunk.timestamp
        from_s = min(max(start_s + (begin or 0.0), at_s), end_s)
        at_s = min(max(start_s + end, from_s), end_s) if end is not None else end_s
        if chunk.text.strip():
            yield TranscriptSegment(id=number, start_ms=_ms(from_s), end_ms=_ms(at_s), text=chunk.text.strip())
            number += 1


def pieces(path: Path) -> Iterator[tuple[float, float, bytes]]:
    """Start, end and WAV bytes of stretches of the speech, cut where it is softest. Blocking."""
    with wave.open(str(path)) as file:
        total, start = file.getnframes(), 0
        while start < total:
            file.setpos(start)
            sound = array("h", file.readframes(_PIECE_S * RATE_HZ))
            if start + len(sound) < total:
                sound = sound[: softest(sound)]
            yield start / RATE_HZ, (start + len(sound)) / RATE_HZ, _wav(sound)
            start += len(sound)


def softest(sound: "array[int]") -> int:
    """Where to cut: the middle of the softest moment near the end."""
    step = int(_CUT_STEP_S * RATE_HZ)
    places = range(len(sound) - _CUT_WITHIN_S * RATE_HZ, len(sound) - step, step)
    return min(places, key=lambda at: sum(map(abs, sound[at : at + step]))) + step // 2


def _wav(sound: "array[int]") -> bytes:
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(sound.tobytes())
    return content.getvalue()


def _ms(at_s: float) -> int:
    return max(0, round(at_s * 1000))
