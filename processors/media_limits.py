"""Limits of media: duration, pixels, frame rate, channels, tracks."""

from collections.abc import Iterable

from processors.errors import MediaTooLarge
from processors.media.channels import MAX_CHANNELS
from processors.tools.limits import Limits
from schemas.probe import ProbeOutputs


def check_limits(outputs: ProbeOutputs, limits: Limits) -> None:
    """Check the limits of media. Raises MediaTooLarge."""
    video = outputs.video
    coded = video.coded_width_px * video.coded_height_px if video else 0
    displayed = video.width_px * video.height_px if video else 0
    _check(
        (
            ("lasts {:.0f} s", outputs.duration_s, limits.max_duration_s),
            ("has {:.0f} pixels per frame", max(coded, displayed), limits.max_pixels),
            ("has {:.0f} frames per second", video.fps if video else 0, limits.max_fps),
            ("has {:.0f} audio channels", outputs.audio.channels if outputs.audio else 0, MAX_CHANNELS),
        )
    )


def check_tracks(tracks: int, limits: Limits) -> None:
    """Check the number of tracks, before they are read one by one. Raises MediaTooLarge."""
    _check((("has {:.0f} tracks", tracks, limits.max_tracks),))


def _check(limited: Iterable[tuple[str, float, float]]) -> None:
    """Raise MediaTooLarge for the first value beyond its maximum. Items: text, value, maximum."""
    for text, value, most in limited:
        if value > most:
            raise MediaTooLarge(f"The file {text.format(value)}; at most {most:.0f} are accepted.")
