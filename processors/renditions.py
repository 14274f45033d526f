"""ffmpeg's command line for the renditions of a ladder: one decode, an output for each size, and one for the sound."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from processors.media.colours import decoder_options
from processors.media.encode_validation import PLAYLIST
from processors.media.ladder import Size
from processors.media.profiles import Profile
from processors.media.transcode_plan import Plan
from processors.media.video_filters import Chain, steady_options
from processors.media.whole_tracks import even_pictures, us, whole_sound
from processors.tools.ffmpeg import AAC, file_url, input_options
from schemas.probe import AudioTrack, ProbeOutputs

FOLDER = "hls"
AUDIO = "audio"
#: No segment begins later than this before the end: of one that lasts a frame hls.js 1.7 never sees the end, and waits.
_LEAST_TAIL_S = 0.5
#: Published beyond the media's duration at most: wrong time stamps in a damaged file would make an encode endless.
_OVERTIME_S = 0.5
#: Makes separately muxed video and sound start together, without an empty edit in front of B-frames.
_SEGMENT_OPTIONS = "movflags=+frag_custom+dash+delay_moov+frag_discont"


def transcode_args(
    source: Path, media: ProbeOutputs, profile: Profile, plan: Plan, *, cpus: int, max_pixels: int
) -> list[str]:
    """Arguments for ffmpeg: paths of what is written are relative to the output folder."""
    reading = input_options(media.demuxer)
    decoding = {**decoder_options(media.video), **steady_options(media.video)} if media.video else {}
    options = {**reading, **decoding, "max_pixels": max_pixels, "threads": cpus, "noautorotate": None}
    opened = ffmpeg.input(file_url(source), **options)
    outputs = []
    if media.video:
        pictures = even_pictures(opened, media.video, plan.sizes, plan.rate, plan.duration_s, is_filled=plan.is_filled)
        for size, picture in zip(plan.sizes, pictures, strict=True):
            outputs.append(_video_output(picture, size, profile, plan, cpus))
    if media.audio:
        outputs.append(_audio_output(opened, media.audio, profile, plan))
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def _video_output(picture: Chain, size: Size, profile: Profile, plan: Plan, cpus: int) -> Chain:
    recipe = profile.video
    options = {
        "c:v": "libx264",
        "preset": recipe.preset,
        "profile:v": "high",
        "crf": recipe.crf,
        "maxrate": size.max_bps,
        "bufsize": round(size.max_bps * recipe.buffer_s),
        "force_key_frames": f"expr:gte(t,n_forced*{profile.gop_s:g})*lt(t,{us(plan.duration_s - _LEAST_TAIL_S)})",
        "sc_threshold": 0,
        "threads": cpus,
    }
    return _hls_output(picture, size.name, options, plan, plan.start_s + plan.phase_s)


def _audio_output(opened: Chain, track: AudioTrack, profile: Profile, plan: Plan) -> Chain:
    """Its filters stand apart from the pictures': where the form of the sound changes, they alone begin again."""
    filters = whole_sound(track, profile.audio.sample_rate_hz, plan.duration_s, is_filled=plan.is_filled)
    codec = {"af": filters, **AAC, "b:a": profile.audio.bit_rate_bps}
    return _hls_output(opened[str(track.index)], AUDIO, codec, plan, plan.start_s)


def _hls_output(track: Chain, name: str, codec: Mapping[str, Any], plan: Plan, start_s: Fraction) -> Chain:
    options = {
        **codec,
        "map_metadata": -1,
        "map_chapters": -1,
        "t": us(plan.duration_s + _OVERTIME_S),
        "output_ts_offset": us(start_s),
        "f": "hls",
        "hls_time": f"{plan.segment_s:g}",
        "hls_playlist_type": "vod",
        "hls_segment_type": "fmp4",
        "hls_flags": "independent_segments",
        "hls_segment_options": _SEGMENT_OPTIONS,
        "hls_fmp4_init_filename": "init.mp4",
        "hls_segment_filename": f"{FOLDER}/{name}/%05d.m4s",
    }
    return ffmpeg.output(track, f"{FOLDER}/{name}/{PLAYLIST}", **options)
