"""Filters that make each track last as long as the media: pictures at an even rate, sound without gaps. Pure."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from processors.media.channels import mixed
from processors.media.colours import prepared, scaled, tagged
from processors.media.ladder import Size
from processors.media.video_filters import Chain, deinterlaced, steady, upright
from schemas.probe import AudioTrack, VideoTrack

#: A frame rate beyond the highest by no more than this is lowered to it: the averages of cameras are a little off.
_NEARLY_MAX = Fraction(105, 100)


def capped_rate(rate: Fraction, max_fps: float) -> Fraction:
    """The rate divided by the smallest number that makes it low enough, so that frames are dropped evenly."""
    most = Fraction(max_fps)
    return min(rate / math.ceil(rate / (most * _NEARLY_MAX)), most)


def grid_phase_s(track: VideoTrack, rate: Fraction) -> Fraction:
    """From the nearest multiple of a frame to the track's start, or to that of its grid of frames."""
    start = Fraction(track.start_s if track.grid_start_s is None else track.grid_start_s).limit_denominator(1_000_000)
    return start - round(start * rate) / rate


def even_pictures(
    opened: Chain, track: VideoTrack, sizes: Sequence[Size], rate: Fraction, duration_s: float, *, is_filled: bool
) -> list[Chain]:
    """A chain for each size, decoded once. They begin `grid_phase_s` early: the output's offset gives that back.

    `is_filled`: whether the last picture stands until the end of the media, wherever the track ends.
    """
    picture = deinterlaced(steady(opened[str(track.index)], track), track)
    # `fps` moves every frame to a multiple of a frame
    if late_s := float(grid_phase_s(track, rate)) + track.decoder_delay_s:
        picture = picture.filter("setpts", f"PTS-({us(late_s)})/TB")
    even = picture.filter("fps", fps=f"{rate.numerator}/{rate.denominator}", start_time=0)
    missing_s = duration_s - track.start_s - (track.duration_s or 0)
    if is_filled:
        even = even.filter("tpad", stop_mode="clone", stop=-1).filter("trim", end=us(duration_s - 0.5 / rate))
    elif missing_s > 1 / rate:  # the last picture stands while the sound goes on
        even = even.filter("tpad", stop_mode="clone", stop_duration=us(missing_s))
    turned, colours = prepared(upright(even, track), track, sizes[0].width_px, sizes[0].height_px)
    copies = turned.filter_multi_output("split", len(sizes)) if len(sizes) > 1 else [turned]
    return [tagged(scaled(copies[place], size.width_px, size.height_px, colours)) for place, size in enumerate(sizes)]


def whole_sound(track: AudioTrack, rate_hz: int, duration_s: float, *, is_filled: bool) -> str:
    """Filters of stereo sound from the first moment to the last: gaps, a late start and an early end are silence."""
    missing_s = duration_s - track.start_s - (track.duration_s or 0)
    padding = [f"apad=pad_dur={us(missing_s)}"] if missing_s > 0 else []
    if is_filled:
        padding = [f"apad=whole_dur={us(duration_s)}", f"atrim=end={us(duration_s)}"]
    many = [f"{name}={_text(options)}" for name, options in mixed(track.channels)]
    return ",".join([*many, f"aresample={rate_hz}", "aformat=sample_fmts=fltp:channel_layouts=stereo", *padding])


def us(duration_s: float | Fraction) -> str:
    """Seconds as ffmpeg reads them, without an exponent."""
    return f"{float(duration_s):.6f}"


def _text(options: Mapping[str, str]) -> str:
    return ":".join(f"{name}={value}" for name, value in options.items())
