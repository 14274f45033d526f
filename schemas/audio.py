"""The step `audio`: audio at a common loudness, for listeners and for models."""

import msgspec

from schemas.base import OutputWarning
from schemas.steps import StepKind

STEP = StepKind(name="audio", slots=2, tools=True)


class AudioParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step."""

    #: Preferred languages as tagged in the file (ISO 639), best first.
    languages: tuple[str, ...] = ()
    #: Target integrated loudness, LUFS.
    target_lufs: float = -16.0
    #: Highest true peak, dBTP.
    peak_dbtp: float = -1.5


class AudioOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step; files are store keys. Both files span the whole media: gaps are silence."""

    #: AAC-LC, 48 kHz.
    audio: str
    #: 16-bit PCM, 16 kHz, mono.
    speech: str
    duration_s: float
    #: Tracks of the file that were used; several are mixed.
    tracks: tuple[int, ...]
    #: ISO 639, if tagged in the file.
    language: str | None = None
    channels: int
    #: Integrated loudness of the source and of the result; unset for audio too short to measure.
    source_lufs: float | None = None
    lufs: float | None = None
    #: Places where the source is damaged.
    warnings: tuple[OutputWarning, ...] = ()
