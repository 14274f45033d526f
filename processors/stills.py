"""ffmpeg's command lines for stills: single pictures at a time, and the sprites of a storyboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ffmpeg

from processors.media.colours import as_jpeg, decoder_options, prepared, scaled
from processors.media.frame_scoring import LOOK_PX
from processors.media.storyboard import SLOT_SLACK, Storyboard
from processors.media.tracks import even
from processors.media.video_filters import Chain, deinterlaced, steady_options, upright
from processors.tools.ffmpeg import file_url, input_options
from schemas.probe import ProbeOutputs, VideoTrack

#: JPEG quantiser, 2-31, lower is better. Source: ffmpeg-codecs(1), qscale of mjpeg.
_QUALITY = 4
#: Gives way to the transcode, which is waited for.
THREADS = 1
#: What the storyboard's pass writes beside the sprites.
TILES_LOOK, TILES_TIMES = "tiles.gray", "tiles.times"
#: What a decoder leaves out: all but keyframes, frames that no other one needs, nothing. The first one is nearly free,
#: the second one takes half the time of the third. Source: ffmpeg-codecs(1), skip_frame.
Skips = Literal["nokey", "noref", "default"]
CHEAPEST_FIRST: tuple[Skips, ...] = ("nokey", "noref", "default")
#: Every picture as it comes: no repeats for a steady rate.
_AS_THEY_COME = {"fps_mode": "passthrough"}


@dataclass(frozen=True)
class Shot:
    """One picture to be taken."""

    at_s: float
    #: JPEG, relative to the output folder.
    name: str
    #: Where its grey copy and its time are written.
    scratch: Path
    #: How much earlier reading begins; what comes before the picture is decoded and left out.
    lead_s: float = 0.0
    #: The frame at that time, or the keyframe before it: a frame that is shown long may have begun earlier.
    exact: bool = True

    @property
    def seek_s(self) -> float:
        """Where reading begins; 0: with the file."""
        return max(0.0, self.at_s - self.lead_s)

    @property
    def look(self) -> Path:
        """Its grey copy."""
        return self.scratch / f"{self.name}.gray"

    @property
    def times(self) -> Path:
        """When it is shown, from `seek_s` on."""
        return self.scratch / f"{self.name}.times"


def thumbnail_name(number: int) -> str:
    """File name of a thumbnail, counted from 1."""
    return f"thumb-{number:03d}.jpg"


def thumbnail_times(track: VideoTrack, count: int) -> list[float]:
    """The middles of `count` equal parts of the video."""
    return [track.start_s + (track.duration_s or 0.0) * (place + 0.5) / count for place in range(count)]


def fitted(track: VideoTrack, max_px: int) -> tuple[int, int]:
    """The picture's size with its longest side at most `max_px`, never enlarged."""
    scale = min(1.0, max_px / max(track.width_px, track.height_px))
    return even(track.width_px * scale), even(track.height_px * scale)


def shots_args(source: Path, media: ProbeOutputs, track: VideoTrack, shots: Sequence[Shot], max_px: int) -> list[str]:
    """Arguments for ffmpeg: each shot is a seek of its own, and gives the JPEG, its grey copy and its time."""
    width, height = fitted(track, max_px)
    outputs = []
    for shot in shots:
        picture = _opened(source, media, track, **_seek(shot))[str(track.index)]
        if shot.at_s > shot.seek_s:
            picture = picture.filter("trim", start=f"{shot.at_s - shot.seek_s:.6f}")
        upright_ = upright(deinterlaced(picture, track), track)
        copies = _sized(upright_, track, width, height).filter_multi_output("split", 2)
        outputs.append(_jpeg_file(as_jpeg(copies[0]), shot.name, {"frames:v": 1, "update": 1}))
        outputs += _greys(copies[1], shot.look, shot.times, {"frames:v": 1})
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def _seek(shot: Shot) -> dict[str, str | None]:
    """Input options. A shot from the file's beginning shares its input with others: they are one decode."""
    seek: dict[str, str | None] = {"ss": f"{shot.seek_s:.6f}"} if shot.seek_s else {}
    return seek if shot.exact else {**seek, "noaccurate_seek": None}


def storyboard_args(
    source: Path, media: ProbeOutputs, track: VideoTrack, board: Storyboard, scratch: Path, *, skips: Skips
) -> list[str]:
    """Arguments for ffmpeg: the first picture of every slot, in sprites; in `scratch` their grey copies and times."""
    picture = _opened(source, media, track, skip_frame=skips)[str(track.index)].filter("select", _first_of_slots(board))
    across = track.rotation_deg in (90, 270)
    width, height = board.tile_width_px, board.tile_height_px
    small = picture.filter("scale", *((height, width) if across else (width, height)), flags="bicubic")
    copies = _sized(upright(small, track), track, width, height).filter_multi_output("split", 2)
    sheets = as_jpeg(copies[0]).filter("tile", f"{board.columns}x{board.rows}")
    outputs = [
        _jpeg_file(sheets, "storyboard-%03d.jpg", {}),
        *_greys(copies[1], scratch / TILES_LOOK, scratch / TILES_TIMES, {}),
    ]
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def _first_of_slots(board: Storyboard) -> str:
    """An expression of `select`. Source: ffmpeg-filters(1), select."""
    slot = f"floor({{}}/{board.interval_s:.6f}+{SLOT_SLACK:.6f})"
    later = f"gt({slot.format('t')},{slot.format('prev_selected_t')})"
    return f"lt(t,{board.duration_s:.6f})*(eq(selected_n,0)+{later})"


def _opened(source: Path, media: ProbeOutputs, track: VideoTrack, **options: str | None) -> Chain:
    reading = {**input_options(media.demuxer), **decoder_options(track), **steady_options(track)}
    return ffmpeg.input(file_url(source), **reading, threads=THREADS, noautorotate=None, **options)


def _sized(picture: Chain, track: VideoTrack, width_px: int, height_px: int) -> Chain:
    picture, colours = prepared(picture, track, width_px, height_px)
    return scaled(picture, width_px, height_px, colours)


def _jpeg_file(picture: Chain, name: str, options: dict[str, int]) -> Chain:
    encoding = {"c:v": "mjpeg", "q:v": _QUALITY, "threads": THREADS, **_AS_THEY_COME, **options}
    return ffmpeg.output(picture, name, f="image2", **encoding)


def _greys(picture: Chain, look: Path, times: Path, options: dict[str, int]) -> list[Chain]:
    small = picture.filter("scale", LOOK_PX, LOOK_PX, flags="area").filter("format", "gray")
    copies = small.filter_multi_output("split", 2)
    timed = {"enc_time_base": "1:1000000", **_AS_THEY_COME, **options}
    return [
        ffmpeg.output(copies[0], file_url(look), f="rawvideo", **_AS_THEY_COME, **options),
        ffmpeg.output(copies[1], file_url(times), f="framecrc", **timed),
    ]
