"""The step `transcode`: an adaptive HLS ladder."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="transcode", slots=2, heavy=True)


class TranscodeParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pipeline may choose."""

    #: Name of a recipe in deploy/profiles.
    profile: str = "hls"


class Rendition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the master playlist."""

    #: e.g. "720p" or "audio".
    name: str
    #: Key of the media playlist in the store.
    playlist: str
    codecs: str
    #: Measured: the largest segment, and the whole, in bits a second.
    peak_bps: int
    average_bps: int
    segments: int
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None


class TranscodeOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """File values are keys in the store."""

    master: str
    duration_s: float
    #: Where the media's clock starts in the segments, for caption maps.
    start_s: float
    renditions: tuple[Rendition, ...] = ()
