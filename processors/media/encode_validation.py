"""Proves a finished encode before it is published: a kill, too, leaves a playlist that looks complete.

Tolerances are times: what a viewer notices, and what containers round, does not shrink with a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from processors.errors import OutputIncomplete, OutputInvalid
from processors.media.hls import MediaPlaylist, read_media_playlist
from processors.media.mp4 import Fragment, Init, read_fragment, read_init

PLAYLIST = "index.m3u8"
#: How far the end may be from the source's: encoder delay and gapless trimming move the end of sound, and the last
#: picture's duration is a guess in many a container.
_END_SLACK_S = Fraction(1, 10)
#: How much longer sound may be: parts of a broadcast may overlap where its form changes, and all of it is kept.
_OVERLAP_S = Fraction(1, 2)
#: How far the beginning may be from its plan: picture and sound are within 10 ms of each other then.
_START_SLACK_S = Fraction(5, 1000)
#: Largest file that is read: a segment has megabytes.
_READ_BYTES = 256 * 1024**2
#: What container times lose by rounding (Matroska's are milliseconds).
_ROUNDING_S = Fraction(2, 1000)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a rendition must come to."""

    name: str
    #: Seconds of the source.
    duration_s: float
    #: One frame of picture or sound.
    frame_s: Fraction
    has_pictures: bool
    #: When the first sample is shown, on the clock of the segments. Of sound: the encoder's priming.
    first_shown_s: Fraction


@dataclass(frozen=True, kw_only=True)
class ValidatedRendition:
    """A rendition that holds what it should, measured."""

    name: str
    init: Init
    fragments: tuple[Fragment, ...]
    duration_s: Fraction
    #: The largest rate by the rule of playlists, and that of the whole, in bits a second.
    peak_bps: int
    average_bps: int


def prove(folder: Path, expected: Expected) -> ValidatedRendition:
    """The rendition in `folder`.

    Raises OutputIncomplete where files are missing or cut short, and OutputInvalid when they are not as planned.
    """
    playlist = _playlist(folder)
    init = read_init(_content(folder, playlist.init_uri))
    paths = [_inside(folder, segment.uri) for segment in playlist.segments]
    fragments = tuple(read_fragment(path, init) for path in paths)
    _check_start(fragments[0].shown_s, expected)
    _check_segments(fragments, playlist, expected)
    duration_s = sum((fragment.duration_s for fragment in fragments), Fraction(0))
    _check_duration(duration_s, expected)
    sizes = [path.stat().st_size for path in paths]
    return ValidatedRendition(
        name=expected.name,
        init=init,
        fragments=fragments,
        duration_s=duration_s,
        peak_bps=peak_bps(sizes, [fragment.duration_s for fragment in fragments], playlist.target_duration_s),
        average_bps=_bps(sum(sizes), duration_s),
    )


def prove_together(videos: Sequence[ValidatedRendition]) -> None:
    """That a player may switch between the renditions anywhere. Raises OutputInvalid."""
    starts = [[fragment.start_s for fragment in video.fragments] for video in videos]
    if any(other != starts[0] for other in starts[1:]):
        raise OutputInvalid("The renditions are not cut at the same moments.")


def _playlist(folder: Path) -> MediaPlaylist:
    playlist = read_media_playlist(_content(folder, PLAYLIST).decode())
    if not playlist.ended or not playlist.segments or not playlist.init_uri:
        raise OutputIncomplete(f"The playlist of {folder.name} is not finished.")
    return playlist


def _content(folder: Path, name: str) -> bytes:
    try:
        return _inside(folder, name).read_bytes()
    except OSError as error:
        raise OutputIncomplete(f"{folder.name}/{name} was not written.", detail=str(error)) from error


def _inside(folder: Path, name: str) -> Path:
    """A plain file of the folder: the tool that wrote its names and links has seen a stranger's bytes."""
    path = folder / name
    if Path(name).name != name or path.is_symlink() or not path.is_file() or not path.stat().st_size:
        raise OutputIncomplete(f"{folder.name}/{name} is missing or empty.")
    if path.stat().st_size > _READ_BYTES:
        raise OutputInvalid(f"{folder.name}/{name} is larger than any segment.")
    return path


def _check_start(shown_s: Fraction, expected: Expected) -> None:
    """Each rendition begins where it was planned to: so picture and sound are in step, and captions with them."""
    late_s = shown_s - expected.first_shown_s
    if abs(late_s) > _START_SLACK_S:
        raise OutputInvalid(f"{expected.name} begins {float(late_s):+.3f} s from where it should.")


def _check_segments(fragments: Sequence[Fragment], playlist: MediaPlaylist, expected: Expected) -> None:
    for number, (fragment, segment) in enumerate(zip(fragments, playlist.segments, strict=True)):
        place = f"Segment {number} of {expected.name}"
        if expected.has_pictures and not fragment.starts_with_keyframe:
            raise OutputInvalid(f"{place} does not begin with a keyframe.")
        if abs(fragment.duration_s - Fraction(segment.duration_s)) > expected.frame_s + _ROUNDING_S:
            raise OutputInvalid(f"{place} does not last as long as its playlist says.")
        if number and fragment.start_s != fragments[number - 1].start_s + fragments[number - 1].duration_s:
            raise OutputInvalid(f"{place} does not begin where the one before it ends.")


def _check_duration(duration_s: Fraction, expected: Expected) -> None:
    longer_s, slack_s = duration_s - Fraction(expected.duration_s), expected.frame_s + _END_SLACK_S
    if -slack_s <= longer_s <= (slack_s if expected.has_pictures else _OVERLAP_S):
        return
    raise OutputInvalid(f"{expected.name} lasts {float(duration_s):.2f} s of {expected.duration_s:.2f} s.")


def peak_bps(sizes: Sequence[int], durations_s: Sequence[Fraction], target_s: int) -> int:
    """The largest rate of segments in a row that last from half to one and a half target durations.

    So a last segment of a moment, nearly all of it headers, says nothing. Source: RFC 8216, section 4.1.
    """
    rates = [_bps(sum(sizes), sum(durations_s, Fraction(0)))]
    for first in range(len(sizes)):
        size, lasts_s = 0, Fraction(0)
        for more, longer_s in zip(sizes[first:], durations_s[first:], strict=True):
            size, lasts_s = size + more, lasts_s + longer_s
            if lasts_s * 2 > target_s * 3:
                break
            if lasts_s * 2 >= target_s:
                rates.append(_bps(size, lasts_s))
    return max(rates)


def _bps(size_bytes: int, duration_s: Fraction) -> int:
    return round(size_bytes * 8 / duration_s) if duration_s else 0
