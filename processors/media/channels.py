"""Channels of sound: the mix of more than players know, and opposite sides that a mono mix would cancel. Pure."""

import math
import re

from processors.errors import ToolFailed
from processors.media.loudness import Filter

#: More channels have no layout that could be mixed by its meaning. Source: libavutil/channel_layout.c.
MOST_WITH_LAYOUT = 8
#: Most that ffmpeg mixes. Source: libavfilter/af_pan.c, MAX_CHANNELS; libswresample, SWR_CH_MAX.
MAX_CHANNELS = 64
#: Below full scale, behind the mix of many channels.
_CEILING = 0.9
#: What two sides have in common is so much softer than their difference when one is turned over: stereo from two
#: microphones stays far above it. dB.
_CANCELLED_DB = 10.0
_RMS = re.compile(r"RMS level dB: (-?(?:\d+\.?\d*|inf|nan))")
_LOWEST_DB = -200.0

#: Middle and difference of two sides.
MIDDLE_AND_SIDE: Filter = ("pan", {"args": "stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0-0.5*c1"})
#: What is printed for `is_cancelled`. Source: ffmpeg-filters(1), astats.
LEVELS: Filter = ("astats", {"measure_perchannel": "RMS_level", "measure_overall": "none"})
#: One side alone.
ONE_SIDE: Filter = ("pan", {"args": "mono|c0=c0"})


def mixed(channels: int) -> tuple[Filter, ...]:
    """Filters that make two channels of more than have a layout: all at equal power on both sides. Else none."""
    if channels <= MOST_WITH_LAYOUT:
        return ()
    gain = 1 / math.sqrt(channels)
    every = "+".join(f"{gain:.4f}*c{number}" for number in range(channels))
    limiter = {"limit": str(_CEILING), "level": "false", "latency": "true"}
    return ("pan", {"args": f"stereo|c0={every}|c1={every}"}), ("alimiter", limiter)


def is_cancelled(words: str) -> bool:
    """Whether a mono mix would be silence, from what ffmpeg printed for both levels. Raises ToolFailed without them."""
    levels = [_decibels(text) for text in _RMS.findall(words)][-2:]
    if len(levels) < 2:
        raise ToolFailed("ffmpeg did not report the levels of the sound.", detail=words[-1000:])
    middle_db, side_db = levels
    return middle_db < side_db - _CANCELLED_DB


def _decibels(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _LOWEST_DB
