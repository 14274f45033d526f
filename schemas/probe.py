"""The step `probe`: container, tracks and durations of the source."""

import msgspec

from schemas.base import OutputWarning
from schemas.steps import StepKind

STEP = StepKind(name="probe", slots=4, tools=True)


class VideoTrack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The selected video track."""

    #: Index among all tracks of the file.
    index: int
    codec: str
    #: As stored, before rotation and pixel aspect.
    coded_width_px: int
    coded_height_px: int
    #: As displayed: rotated, square pixels, even.
    width_px: int
    height_px: int
    #: Average frames per second.
    fps: float
    #: Constant frame rate of the output, as a fraction of integers, e.g. "30000/1001".
    frame_rate: str = "25/1"
    #: Clockwise rotation for display: 0, 90, 180, 270.
    rotation_deg: int = 0
    #: Mirrored horizontally, before the rotation.
    mirrored: bool = False
    #: Pixel aspect as "num:den".
    sample_aspect_ratio: str = "1:1"
    pixel_format: str | None = None
    #: PQ or HLG.
    hdr: bool = False
    #: Colours as ffprobe names them; unset if not in the file.
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
    #: A time on the grid of its frames, near `start_s`; unset where the first frame lies on it or the rate is uneven.
    grid_start_s: float | None = None
    #: How late its frames are decoded, seconds: AVI has no presentation times, and B-frames wait for later ones.
    decoder_delay_s: float = 0.0


class AudioTrack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The selected audio track."""

    index: int
    codec: str
    channels: int
    sample_rate_hz: int
    #: ISO 639, if tagged in the file.
    language: str | None = None
    duration_s: float | None = None
    start_s: float = 0.0
    #: Marked as default in the file.
    default: bool = False


class SubtitleTrack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A subtitle track of the file. It is not published."""

    index: int
    codec: str
    #: ISO 639, if tagged in the file.
    language: str | None = None
    #: Marked as default in the file.
    default: bool = False


class Chapter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A chapter of the file. It is not published."""

    start_s: float
    end_s: float
    #: Up to 200 characters.
    title: str | None = None


class ProbeOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step, used by later steps."""

    #: ffmpeg's demuxer, chosen by the first bytes.
    demuxer: str
    #: For display, e.g. "MP4".
    container: str
    size_bytes: int
    duration_s: float
    video: VideoTrack | None = None
    audio: AudioTrack | None = None
    #: All audio tracks, if there are several; start and end are measured for `audio` only.
    sounds: tuple[AudioTrack, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()
    #: The first 200.
    chapters: tuple[Chapter, ...] = ()
    #: Number of tracks in the file, by kind.
    video_tracks: int = 0
    audio_tracks: int = 0
    bit_rate_bps: int | None = None
    #: Time stamps start again or jump: parts were joined. Times are those of the parts one after the other; no seeks.
    clock_jumps: bool = False
    #: What the file lacks.
    warnings: tuple[OutputWarning, ...] = ()
