"""The step `thumbnails`: poster, thumbnails, storyboard."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="thumbnails", slots=2)


class ThumbnailsParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pipeline may choose."""

    #: Thumbnails spread over the duration, 1-50.
    count: int = 5
    #: Longest side of poster and thumbnails, 64-3840.
    max_width_px: int = 1280
    #: Width of a storyboard tile, 32-640.
    tile_width_px: int = 160


class ThumbnailsOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """File values are keys in the store."""

    poster: str
    thumbnails: tuple[str, ...] = ()
    #: WebVTT with `#xywh` cues into the sprites.
    storyboard: str | None = None
    sprites: tuple[str, ...] = ()
