"""The step `transcribe`: what was said, when, as captions and as data."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="transcribe", slots=1, heavy=True, source=False)


class TranscribeParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pipeline may choose. Which model serves is a setting."""

    #: Language that is spoken, ISO 639-1, where it is known; unset: it is detected.
    language: str | None = None


class Caption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of speech as it is shown live, before the step has ended."""

    #: Place in the transcript, from 0.
    id: int
    start_ms: int
    end_ms: int
    text: str
    #: ISO 639-1, as far as it is known.
    language: str | None = None


class Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One word."""

    start_ms: int
    end_ms: int
    text: str
    #: 0-1; unset where the model does not say.
    confidence: float | None = None


class TranscriptSegment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of speech as the model gave it, about a sentence."""

    #: Place in the transcript, from 0.
    id: int
    start_ms: int
    end_ms: int
    text: str
    #: 0-1: the mean probability of its tokens; unset where the model does not say.
    confidence: float | None = None
    #: 0-1: how likely it is that nobody speaks.
    no_speech: float | None = None
    #: Empty where the model gives no times of words.
    words: tuple[Word, ...] = ()


class SpeechModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which model transcribed: enough to tell one result from another."""

    #: As the backend is set, e.g. "local:small" or "https://…".
    backend: str
    #: Name of the model or of its folder.
    name: str | None = None
    #: sha256 of its weights, hexadecimal; unset for a remote one.
    weights_sha256: str | None = None
    #: e.g. "int8".
    compute_type: str | None = None
    #: The library and its version, e.g. "faster-whisper 1.2.1".
    library: str | None = None


class Transcript(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of `transcript.json`. Times are from the start of the media."""

    #: ISO 639-1; unset where the model does not say.
    language: str | None = None
    #: 0-1, of the detection; 1 where it was given.
    language_confidence: float | None = None
    duration_ms: int
    model: SpeechModel
    #: In the order of time.
    segments: tuple[TranscriptSegment, ...] = ()


class TranscribeOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """File values are keys in the store."""

    #: WebVTT.
    vtt: str
    #: SubRip.
    srt: str
    #: JSON: the struct Transcript.
    transcript: str
    #: Plain text.
    text: str
    language: str | None = None
    #: 0-1.
    language_confidence: float | None = None
    segments: int
    model: SpeechModel
