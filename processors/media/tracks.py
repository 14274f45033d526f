"""From what ffprobe says about tracks to the ones that we use. Pure."""

import math
import re
from collections.abc import Collection, Sequence
from fractions import Fraction

from processors.media.colours import HDR_TRANSFERS, has_alpha
from processors.media.frame_grid import grid_start_s
from schemas.base import Json
from schemas.probe import AudioTrack, SubtitleTrack, VideoTrack

#: ffprobe's words for a picture made of two fields.
_INTERLACED = frozenset({"tt", "bb", "tb", "bt"})
#: Pictures that accompany the media and are no video.
_STILLS = ("attached_pic", "still_image", "timed_thumbnails")
#: ffprobe prints the display matrix as three lines of an address and three numbers each.
_OFFSET, _MATRIX_VALUE = re.compile(r"(?m)^\s*[0-9a-f]{8}:"), re.compile(r"-?[0-9]{1,11}")
#: A name of ffmpeg's.
_NAME = re.compile(r"[a-z0-9-]{1,32}")
_RATIO = re.compile(r"([0-9]{1,18})[/:]([0-9]{1,18})")
#: A language as players understand it; a file may hold anything in its place. Source: RFC 5646, ISO 639.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
#: Pixels further from square than this are a mistake in the file.
_MAX_ASPECT = 8
#: Taken where a file does not say how fast its pictures follow each other.
_DEFAULT_RATE = Fraction(25)
#: Source: ITU-T H.264, max_num_reorder_frames.
_MAX_REORDERED = 16
#: Slower than this and a picture is shown more than once: players can seek, and a delay of two frames stays short.
_MIN_RATE = Fraction(10)
#: ffmpeg's r_frame_rate is a guess of the steady rate behind uneven times, in which every frame has its moment: taken
#: when it is near the average, or a screen's: recorded screens leave out pictures that do not change.
_STEADY_OVER_AVERAGE = (0.99, 1.5)
_SCREEN_OVER_AVERAGE, _SCREEN_RATE = 4, 60


def best_video(tracks: Sequence[Json]) -> Json | None:
    """The video to show: the default one, or else the largest; cover pictures do not count."""
    found = [t for t in tracks if t.get("codec_type") == "video" and t.get("codec_name") and not _is_still(t)]
    return max((t for t in found if _pixels(t)), key=lambda t: (_is_default(t), _pixels(t)), default=None)


def best_audio(tracks: Sequence[Json]) -> Json | None:
    """The sound to play: the default one, or else the one with most channels."""
    return max(sounds(tracks), key=lambda t: (_is_default(t), int(t["channels"])), default=None)


def sounds(tracks: Sequence[Json]) -> list[Json]:
    """Every track with sound that can be decoded."""
    return [t for t in tracks if t.get("codec_type") == "audio" and t.get("codec_name") and t.get("channels")]


def subtitle_tracks(tracks: Sequence[Json]) -> tuple[SubtitleTrack, ...]:
    """The subtitle tracks, in any codec."""
    return tuple(
        SubtitleTrack(
            index=int(track["index"]),
            codec=track.get("codec_name") or "unknown",
            language=_language(track),
            default=_is_default(track),
        )
        for track in tracks
        if track.get("codec_type") == "subtitle"
    )


def count(tracks: Sequence[Json], kind: str) -> int:
    """How many tracks of a kind there are, cover pictures aside."""
    return sum(t.get("codec_type") == kind and not _is_still(t) for t in tracks)


def video_track(
    track: Json,
    *,
    start_s: float,
    duration_s: float | None,
    frame_times_s: Collection[float] = (),
    lacks_times: bool = False,
) -> VideoTrack:
    """What later steps need to know of it.

    `frame_times_s`: times of some of its frames, on the clock of `start_s`. `lacks_times`: whether its container has
    times of decoding only.
    """
    rotation, mirrored = orientation(track)
    width, height = display_size(track, rotation)
    interlaced = track.get("field_order") in _INTERLACED
    rate = steady_rate(track, interlaced)
    grid_s = grid_start_s(frame_times_s, rate, start_s)
    transfer = track.get("color_transfer")
    return VideoTrack(
        index=int(track["index"]),
        codec=track["codec_name"],
        coded_width_px=int(track["width"]),
        coded_height_px=int(track["height"]),
        width_px=width,
        height_px=height,
        fps=round(float(average_rate(track)), 3),
        frame_rate=_text(rate),
        rotation_deg=rotation,
        mirrored=mirrored,
        sample_aspect_ratio=_text(pixel_aspect(track), ":"),
        pixel_format=track.get("pix_fmt"),
        hdr=transfer in HDR_TRANSFERS,
        color_space=_word(track, "color_space"),
        color_primaries=_word(track, "color_primaries"),
        color_transfer=transfer,
        color_range=_word(track, "color_range"),
        alpha=has_alpha(track.get("pix_fmt")) or _tag(track, "alpha_mode") == "1",
        interlaced=interlaced,
        duration_s=duration_s,
        start_s=start_s,
        grid_start_s=None if grid_s is None else round(grid_s, 6),
        decoder_delay_s=round(_reordered(track) / float(average_rate(track)), 6) if lacks_times else 0.0,
    )


def audio_track(track: Json, *, start_s: float = 0.0, duration_s: float | None = None) -> AudioTrack:
    """What later steps need to know of it."""
    return AudioTrack(
        index=int(track["index"]),
        codec=track["codec_name"],
        channels=int(track["channels"]),
        sample_rate_hz=int(track.get("sample_rate", 0)),
        language=_language(track),
        duration_s=duration_s,
        start_s=start_s,
        default=_is_default(track),
    )


def orientation(track: Json) -> tuple[int, bool]:
    """Clockwise turn for display (0, 90, 180 or 270), and whether left and right are exchanged before it.

    ffprobe's angle alone takes a mirrored picture for one that is upside down. Source: ISO/IEC 14496-12, 6.2.2.
    """
    side: Json = next((side for side in track.get("side_data_list", ()) if "rotation" in side), {})
    values = [int(text) for text in _MATRIX_VALUE.findall(_OFFSET.sub("", str(side.get("displaymatrix", ""))))[:9]]
    if len(values) < 9:  # ffprobe counts the other way round
        return _quarters(-float(side.get("rotation", 0))), False
    a, b, _, c, d = values[:5]
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return _quarters(math.degrees(math.atan2(b, a))), mirrored


def _quarters(angle: float) -> int:
    return round(angle / 90) * 90 % 360


def pixel_aspect(track: Json) -> Fraction:
    """Width of a pixel to its height; square where the file says nothing, or nonsense."""
    aspect = fraction(track.get("sample_aspect_ratio"))
    return aspect if aspect and 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT else Fraction(1)


def display_size(track: Json, rotation: int) -> tuple[int, int]:
    """Width and height as a person sees them, in square pixels, even: the sharper direction is kept."""
    aspect = pixel_aspect(track)
    width = even(track["width"] * max(aspect, Fraction(1)))
    height = even(track["height"] / min(aspect, Fraction(1)))
    return (height, width) if rotation in (90, 270) else (width, height)


def even(length: Fraction | float) -> int:
    """The nearest even number, at least 2: H.264 with 4:2:0 knows no other sizes."""
    return max(2, round(length / 2) * 2)


def average_rate(track: Json) -> Fraction:
    """Average frames a second."""
    return fraction(track.get("avg_frame_rate")) or fraction(track.get("r_frame_rate")) or _DEFAULT_RATE


def steady_rate(track: Json, interlaced: bool) -> Fraction:
    """The rate at which the picture is shown: the one that uneven times were made from, where it can be told."""
    average = average_rate(track)
    guess = fraction(track.get("r_frame_rate")) or average
    low, high = _STEADY_OVER_AVERAGE[0], _SCREEN_OVER_AVERAGE if guess <= _SCREEN_RATE else _STEADY_OVER_AVERAGE[1]
    if not interlaced and low <= guess / average <= high:  # of an interlaced track it counts fields
        average = guess
    return max(average, _MIN_RATE).limit_denominator(1001)


def fraction(text: str | None) -> Fraction | None:
    """A positive fraction out of "30000/1001" or "4:3"; None for "0/0" and the like."""
    found = _RATIO.fullmatch(text or "")
    top, bottom = (int(found[1]), int(found[2])) if found else (0, 0)
    return Fraction(top, bottom) if top and bottom else None


def seconds(text: object) -> float | None:
    """A time out of "1.500000" or a tag's "00:00:01.500000000"; None for "N/A" and the like."""
    texts = str(text).split(":")
    if len(texts) > 3:  # beyond hours
        return None
    try:
        parts = [float(part) for part in texts]
    except ValueError:
        return None
    value = sum(part * 60**place for place, part in enumerate(reversed(parts)))
    return value if math.isfinite(value) else None


def _text(value: Fraction, between: str = "/") -> str:
    return f"{value.numerator}{between}{value.denominator}"


def _pixels(track: Json) -> int:
    return int(track.get("width", 0)) * int(track.get("height", 0))


def _reordered(track: Json) -> int:
    """How many frames the decoder holds back. Source: ffmpeg, AVCodecParameters.video_delay."""
    frames = track.get("has_b_frames", 0)
    return frames if isinstance(frames, int) and 0 <= frames <= _MAX_REORDERED else 0


def _word(track: Json, name: str) -> str | None:
    value = str(track.get(name, ""))
    return value if _NAME.fullmatch(value) else None


def _tag(track: Json, name: str) -> str | None:
    """A tag whose name may be written in any case."""
    return next((text for key, text in track.get("tags", {}).items() if key.lower() == name), None)


def _language(track: Json) -> str | None:
    language = str(track.get("tags", {}).get("language", ""))
    return language if _LANGUAGE.fullmatch(language) and language != "und" else None


def _is_default(track: Json) -> bool:
    return bool(track.get("disposition", {}).get("default"))


def _is_still(track: Json) -> bool:
    return any(track.get("disposition", {}).get(kind) for kind in _STILLS)
