"""Speech-to-text backends: a local model, or an endpoint. Both return the same."""

import asyncio
import base64
import math
import wave
from array import array
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from processors.errors import LanguageNotSupported
from processors.models.backends import Endpoint
from processors.models.devices import ModelOnDevices
from processors.models.host import OnPartial
from processors.models.speech_response import segments_of
from processors.threads import in_thread
from schemas.base import Json
from schemas.transcribe import SpeechModel, TranscriptSegment, Word

RATE_HZ = 16_000
#: Longest chunk of speech in one request to an endpoint: 13 MB as base64.
_CHUNK_S = 300
#: A chunk is cut at the quietest moment of its last seconds, found in steps of this length.
_CUT_WITHIN_S, _CUT_STEP_S = 15, 0.1
#: Slow speech: duration of a word and each of its letters; `_TOO_LONG` times that includes silence.
_WORD_MS, _LETTER_MS, _TOO_LONG = 250, 90, 1.5


class Transcription(NamedTuple):
    """The result of a backend."""

    segments: tuple[TranscriptSegment, ...]
    language: str | None
    language_confidence: float | None
    #: With an empty backend name.
    model: SpeechModel


class Speech(NamedTuple):
    """Speech to transcribe."""

    #: WAV: 16 kHz, mono, 16 bit.
    path: Path
    duration_s: float
    #: ISO 639-1, if known.
    language: str | None
    #: ISO 639, as the file names it: a hint.
    tagged: str | None = None


#: Called with each segment as soon as it is known, the language if known, and the share that is done, 0-1.
OnSegment = Callable[[TranscriptSegment | None, str | None, float], None]


class SpeechBackend(Protocol):
    """A speech-to-text backend."""

    @property
    def needs_cpus(self) -> bool:
        """Whether the CPUs of this machine are expected to do the work."""
        ...

    @property
    def is_able(self) -> bool:
        """Whether it can work now."""
        ...

    async def transcribe(self, speech: Speech, on_segment: OnSegment) -> Transcription:
        """Transcribe the speech. Raises BackendError."""
        ...


@dataclass(frozen=True, kw_only=True)
class LocalSpeech:
    """A model on this machine."""

    model: ModelOnDevices
    #: Time limit: seconds, plus `time_factor` x the duration.
    time_s: float
    time_factor: float

    @property
    def needs_cpus(self) -> bool:
        """See SpeechBackend."""
        return self.model.needs_cpus

    @property
    def is_able(self) -> bool:
        """See SpeechBackend."""
        return self.model.is_able

    async def transcribe(self, speech: Speech, on_segment: OnSegment) -> Transcription:
        """Transcribe the speech. Raises BackendError."""
        segments: list[TranscriptSegment] = []

        def on_partial(part: Json) -> None:
            segment = None
            if part["segment"] is not None:
                segment = segment_of(len(segments), part["segment"])
                segments.append(segment)
            on_segment(segment, part["language"], part["done"])

        def begin() -> OnPartial:
            segments.clear()  # what a GPU said before it failed is said again
            return on_partial

        request = {"path": str(speech.path), "language": speech.language, "tagged": speech.tagged}
        timeout_s = self.time_s + self.time_factor * speech.duration_s
        response = await self.model.request(request, timeout_s=timeout_s, begin=begin)
        if not response["supported"]:
            raise LanguageNotSupported("The model does not know the language that is spoken.")
        confidence = response["language_confidence"]
        return Transcription(
            segments=tuple(segments),
            language=response["language"],
            language_confidence=None if confidence is None else round(confidence, 3),
            model=SpeechModel(backend="", **response["model"]),
        )


def segment_of(number: int, raw: Json) -> TranscriptSegment:
    """Convert a segment of faster-whisper."""
    words = tuple(_word(word) for word in raw["words"])
    return TranscriptSegment(
        id=number,
        start_ms=words[0].start_ms if words else _ms(raw["start_s"]),
        end_ms=words[-1].end_ms if words else _ms(raw["end_s"]),
        text=raw["text"].strip(),
        confidence=round(min(1.0, math.exp(raw["logprob"])), 3),
        no_speech=round(raw["no_speech"], 3),
        words=words,
    )


def _word(raw: Json) -> Word:
    """Convert a word. Whisper includes the silence before it, which would start it a second too early."""
    text, start_ms, end_ms = raw["text"].strip(), _ms(raw["start_s"]), _ms(raw["end_s"])
    plausible_ms = _WORD_MS + _LETTER_MS * len(text)
    if end_ms - start_ms > plausible_ms * _TOO_LONG:
        start_ms = end_ms - plausible_ms
    return Word(start_ms=start_ms, end_ms=end_ms, text=text, confidence=round(raw["confidence"], 3))


@dataclass(frozen=True, kw_only=True)
class RemoteSpeech:
    """An endpoint with Hugging Face's inference API."""

    endpoint: Endpoint
    needs_cpus: ClassVar[bool] = False
    is_able: ClassVar[bool] = True

    async def transcribe(self, speech: Speech, on_segment: OnSegment) -> Transcription:
        """Transcribe the speech in chunks of at most five minutes. Raises BackendError."""
        segments: list[TranscriptSegment] = []
        with closing(speech_chunks(speech.path)) as chunks:
            # One chunk at a time: six hours of speech are 691 MB.
            while (chunk := await in_thread(next, chunks, None)) is not None:
                response = await self.endpoint.request(await asyncio.to_thread(_body, chunk.wav, speech.language))
                done = chunk.end_s / max(speech.duration_s, chunk.end_s)
                new = segments_of(response, chunk.start_s, chunk.end_s, len(segments))
                segments += new
                updates: list[TranscriptSegment | None] = [*new] if new else [None]
                for segment in updates:
                    on_segment(segment, speech.language, done)
        model = SpeechModel(backend="")
        return Transcription(tuple(segments), speech.language, None, model)


def _body(chunk: bytes, language: str | None) -> Json:
    parameters: Json = {"return_timestamps": True}
    if language:
        parameters["generate_kwargs"] = {"language": language}
    return {"inputs": base64.b64encode(chunk).decode(), "parameters": parameters}


class SpeechChunk(NamedTuple):
    """A part of the speech."""

    start_s: float
    end_s: float
    #: A whole WAV file.
    wav: bytes


def speech_chunks(path: Path) -> Generator[SpeechChunk, None, None]:
    """Chunks of the speech in order, cut at quiet moments; each is read when it is taken. Blocking."""
    with wave.open(str(path)) as file:
        total, start = file.getnframes(), 0
        while start < total:
            file.setpos(start)
            sound = array("h", file.readframes(_CHUNK_S * RATE_HZ))
            if start + len(sound) < total:
                sound = sound[: quietest(sound)]
            yield SpeechChunk(start / RATE_HZ, (start + len(sound)) / RATE_HZ, _wav(sound))
            start += len(sound)


def quietest(sound: "array[int]") -> int:
    """The index of the quietest moment near the end, to cut there."""
    step = int(_CUT_STEP_S * RATE_HZ)
    starts = range(len(sound) - _CUT_WITHIN_S * RATE_HZ, len(sound) - step, step)
    return min(starts, key=lambda at: sum(map(abs, sound[at : at + step]))) + step // 2


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
