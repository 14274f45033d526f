"""The step `probe`: what the file is, and which of its tracks to use."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="probe", slots=4)


class VideoTrack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The video track that will be used."""

    #: Index among all tracks of the file.
    index: int
    codec: str
    #: As stored, before rotation and pixel aspect.
    coded_width_px: int
    coded_height_px: int
    #: As a person sees it: rotated, square pixels, even.
    width_px: int
    height_px: int
    #: Average frames a second.
    fps: float
    #: Steady rate to show it at, as a fraction of whole numbers, e.g. "30000/1001".
    frame_rate: str = "25/1"
    #: Clockwise, to be applied for display: 0, 90, 180, 270.
    rotation_deg: int = 0
    #: Left and right are to be exchanged, before the rotation.
    mirrored: bool = False
    #: Pixel aspect as "num:den".
    sample_aspect_ratio: str = "1:1"
    pixel_format: str | None = None
    #: PQ or HLG.
    hdr: bool = False
    #: Colours as ffprobe names them; absent where the file does not say.
    color_space: str | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    #: "tv" (limited) or "pc" (full).
    color_range: str | None = None
    #: Has transparent parts.
    alpha: bool = False
    interlaced: bool = False
    duration_s: float | None = None
    start_s: float = 0.0


class AudioTrack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The audio track that will be used."""

    index: int
    codec: str
    channels: int
    sample_rate_hz: int
    #: ISO 639, when the file says so.
    language: str | None = None
    duration_s: float | None = None
    start_s: float = 0.0
    #: Whether the file says that it is the one to play.
    default: bool = False


class ProbeOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What later steps rely on."""

    #: ffmpeg's demuxer, from our own sniff of the first bytes.
    demuxer: str
    #: For people, e.g. "MP4".
    container: str
    size_bytes: int
    duration_s: float
    video: VideoTrack | None = None
    audio: AudioTrack | None = None
    #: All tracks with sound, where there is more than one; only of `audio` it is measured when it starts and ends.
    sounds: tuple[AudioTrack, ...] = ()
    #: How many tracks of each kind the file has.
    video_tracks: int = 0
    audio_tracks: int = 0
    bit_rate_bps: int | None = None
