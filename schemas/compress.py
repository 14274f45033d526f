"""The step `compress`: one smaller file that plays everywhere."""

from typing import Annotated

import msgspec

from schemas.base import OutputWarning
from schemas.steps import StepKind

STEP = StepKind(name="compress", slots=2, heavy=True, tools=True)

#: A film is made smaller within these bounds; below them nothing can be recognised.
Height = Annotated[int, msgspec.Meta(ge=144, le=2160)]
Quality = Annotated[float, msgspec.Meta(ge=18, le=35)]
FrameRate = Annotated[float, msgspec.Meta(ge=1, le=60)]
SoundRate = Annotated[int, msgspec.Meta(ge=32_000, le=320_000)]
Size = Annotated[int, msgspec.Meta(ge=16 * 1024)]


class CompressParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step."""

    #: Short side of the 16:9 box that the picture is fitted into, 144 to 2160: 1080, 720, 480. Never upscaled.
    height_px: Height = 720
    #: Quality of the picture, 18 to 35; lower is better and larger.
    crf: Quality = 26.0
    #: Higher frame rates are lowered evenly, 1 to 60.
    max_fps: FrameRate = 30.0
    #: Bit rate of the stereo sound, bits per second, 32,000 to 320,000.
    audio_bps: SoundRate = 128_000
    #: Largest size of the file, at least 16 KiB: the bit rate is lowered for it, and the error is `media-too-large` if
    #: that is not enough. Unset: smaller than the source.
    max_bytes: Size | None = None


class CompressOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step; files are store keys."""

    #: Progressive MP4, H.264 and AAC-LC, its index in front.
    video: str
    size_bytes: int
    source_bytes: int
    duration_s: float
    #: Unset without a picture.
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    #: Places where the source is damaged; `not-smaller` where the source was compressed as much already.
    warnings: tuple[OutputWarning, ...] = ()
