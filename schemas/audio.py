"""The step `audio`: sound at a common loudness, for people and for models."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="audio", slots=2)


class AudioParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pipeline may choose."""

    #: Languages to prefer, as the file tags them (ISO 639), the best first.
    languages: tuple[str, ...] = ()
    #: Integrated loudness to aim for, LUFS.
    target_lufs: float = -16.0
    #: Highest true peak, dBTP.
    peak_dbtp: float = -1.5


class AudioOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """File values are keys in the store. Both files begin and end with the media: what is missing is silence."""

    #: AAC-LC, 48 kHz.
    audio: str
    #: 16-bit PCM, 16 kHz, mono.
    speech: str
    duration_s: float
    #: Which tracks of the file were taken; more than one were mixed.
    tracks: tuple[int, ...]
    #: ISO 639, when the file says so.
    language: str | None = None
    channels: int
    #: Integrated loudness of the source and of the result; unset for what is too short to have one.
    source_lufs: float | None = None
    lufs: float | None = None
