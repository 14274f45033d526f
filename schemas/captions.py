"""The step `captions`: what was said, shown with the video."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="captions", slots=4, source=False)


class CaptionsParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """There is nothing to choose."""


class CaptionsOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """File values are keys in the store. The renditions stay where the step `transcode` put them."""

    #: A master playlist with captions.
    master: str
    #: The master playlist whose renditions it lists: of another one it says nothing.
    based_on: str
    #: The media playlist of the captions, and their WebVTT in the clock of the segments.
    playlist: str
    vtt: str
    #: ISO 639-1.
    language: str | None = None
