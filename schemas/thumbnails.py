"""The step `thumbnails`: poster, thumbnails, storyboard."""

import msgspec

from schemas.base import OutputWarning
from schemas.steps import StepKind

STEP = StepKind(name="thumbnails", slots=2, tools=True)


class ThumbnailsParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step."""

    #: Number of thumbnails, evenly spaced, 1-50.
    count: int = 5
    #: Longest side of poster and thumbnails, 64-3840.
    max_width_px: int = 1280
    #: Width of a storyboard tile, 32-640.
    tile_width_px: int = 160


class ThumbnailsOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step; files are store keys."""

    poster: str
    thumbnails: tuple[str, ...] = ()
    #: WebVTT with `#xywh` cues into the sprites.
    storyboard: str | None = None
    sprites: tuple[str, ...] = ()
    #: Places where the source is damaged.
    warnings: tuple[OutputWarning, ...] = ()
