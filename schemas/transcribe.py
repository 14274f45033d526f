"""The step `transcribe`: speech as captions and as data."""

from typing import Annotated

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="transcribe", slots=1, heavy=True, one_model=True, source=False)


#: So slow that two lines are shown for the longest time, up to as fast as nobody speaks.
_CharsPerS = Annotated[float, msgspec.Meta(ge=5, le=100)]
_WideCharsPerS = Annotated[float, msgspec.Meta(ge=2, le=100)]


class TranscribeParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step. Models are settings."""

    #: Spoken language, ISO 639-1; unset: detected.
    language: str | None = None
    #: Reading speed of captions, characters per second: they stay long enough, as far as speech allows.
    chars_per_s: _CharsPerS = 20.0
    #: The same in Chinese, Japanese and Korean.
    wide_chars_per_s: _WideCharsPerS = 9.0


class Caption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A caption for live display while the step runs."""

    #: Index in the transcript, from 0.
    id: int
    start_ms: int
    end_ms: int
    text: str
    #: ISO 639-1, if known.
    language: str | None = None


class Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One word."""

    start_ms: int
    end_ms: int
    text: str
    #: 0-1; unset if the model gives none.
    confidence: float | None = None


class TranscriptSegment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A segment of speech as the model returned it, about a sentence."""

    #: Index in the transcript, from 0.
    id: int
    start_ms: int
    end_ms: int
    text: str
    #: Mean probability of its tokens, 0-1; unset if the model gives none.
    confidence: float | None = None
    #: Probability that it is not speech, 0-1.
    no_speech: float | None = None
    #: Empty if the model gives no word timestamps.
    words: tuple[Word, ...] = ()


class SpeechModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model of a transcript, as far as results depend on it."""

    #: The backend as configured, e.g. "local:small" or "https://…".
    backend: str
    #: Name of the model or of its folder.
    name: str | None = None
    #: sha256 of its weights, hexadecimal; unset for endpoints.
    weights_sha256: str | None = None
    #: e.g. "int8".
    compute_type: str | None = None
    #: "cpu" or "cuda"; unset for endpoints.
    device: str | None = None
    #: The library and its version, e.g. "faster-whisper 1.2.1".
    library: str | None = None


class Transcript(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of `transcript.json`. Times are from the start of the media."""

    #: ISO 639-1; unset if the model gives none.
    language: str | None = None
    #: Confidence of the detection, 0-1; unset where the language was not detected.
    language_confidence: float | None = None
    duration_ms: int
    model: SpeechModel
    #: In order of time.
    segments: tuple[TranscriptSegment, ...] = ()


class TranscribeOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step; files are store keys."""

    #: WebVTT.
    vtt: str
    #: SubRip.
    srt: str
    #: JSON: the struct Transcript.
    transcript: str
    #: Plain text.
    text: str
    language: str | None = None
    #: 0-1; unset where the language was not detected.
    language_confidence: float | None = None
    segments: int
    model: SpeechModel
    #: Reading speed of the captions, characters per second; the same in Chinese, Japanese and Korean.
    chars_per_s: float = 20.0
    wide_chars_per_s: float = 9.0
