"""The step `transcode`: an adaptive HLS ladder."""

import msgspec

from schemas.base import OutputWarning
from schemas.steps import StepKind

STEP = StepKind(name="transcode", slots=2, heavy=True, tools=True)


class TranscodeParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step."""

    #: Name of a profile in deploy/profiles.
    profile: str = "hls"


class Rendition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rendition of the master playlist."""

    #: e.g. "720p" or "audio".
    name: str
    #: Key of the media playlist in the store.
    playlist: str
    codecs: str
    #: Measured over the largest segment, and over the whole, bits per second.
    peak_bps: int
    average_bps: int
    segments: int
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None


class TranscodeOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step; files are store keys."""

    master: str
    duration_s: float
    #: Timestamp of the media's start in the segments, for X-TIMESTAMP-MAP.
    start_s: float
    renditions: tuple[Rendition, ...] = ()
    #: Places where the source is damaged.
    warnings: tuple[OutputWarning, ...] = ()
