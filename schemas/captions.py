"""The step `captions`: captions as a rendition of the HLS presentation."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="captions", slots=4, source=False)


class CaptionsParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step: none."""


class CaptionsOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step; files are store keys. The renditions remain those of the step `transcode`."""

    #: A master playlist with captions.
    master: str
    #: The master playlist of the step `transcode` whose renditions it lists.
    based_on: str
    #: The media playlist of the captions, and their WebVTT on the timeline of the segments.
    playlist: str
    vtt: str
    #: ISO 639-1.
    language: str | None = None
