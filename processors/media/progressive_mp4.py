"""Validates a progressive MP4 before it is published: its layout, and what ffprobe says of its tracks."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processors.errors import OutputIncomplete, OutputInvalid
from processors.media.tracks import seconds
from schemas.base import Json

#: As in processors/media/encode_validation.py: what a viewer notices, and what containers round.
_END_SLACK_S, _OVERLAP_S = 0.1, 0.5
#: Sound that is delayed by less than a frame begins with as much of the encoder's priming, which is silence.
_START_SLACK_S = 1024 / 48_000 + 0.005
#: Boxes of a file; ffmpeg writes five.
_MAX_BOXES = 100


@dataclass(frozen=True, kw_only=True)
class ExpectedFile:
    """What a file must come to."""

    duration_s: float
    #: Width and height; None without a picture.
    picture: tuple[int, int] | None
    frame_s: float
    #: How much later than the sound the picture begins.
    phase_s: float
    has_sound: bool


def validate_layout(path: Path) -> None:
    """Check that the index comes before the media, so that the file plays while it loads. Blocking.

    Raises OutputIncomplete, OutputInvalid.
    """
    if path.is_symlink() or not path.is_file():
        raise OutputIncomplete(f"{path.name} was not written.")
    kinds = list(_kinds(path))
    if b"moov" not in kinds or b"mdat" not in kinds:
        raise OutputIncomplete(f"{path.name} has no index or no media.")
    if kinds.index(b"moov") > kinds.index(b"mdat"):
        raise OutputInvalid(f"{path.name} has its index behind the media.")


def _kinds(path: Path) -> Iterator[bytes]:
    """Kinds of the outermost boxes. Source: ISO/IEC 14496-12, 4.2."""
    end, at = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(_MAX_BOXES):
            if at >= end:
                return
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                raise OutputIncomplete(f"{path.name} ends in the middle of a box.")
            size, kind = struct.unpack_from(">I4s", head)
            if size == 1 and len(head) == 16:
                (size,) = struct.unpack_from(">Q", head, 8)
            if size < 8 or at + size > end:
                raise OutputIncomplete(f"{path.name} is shorter than its {kind.decode('latin-1')!r} box says.")
            yield kind
            at += size


def validate_tracks(described: Json, expected: ExpectedFile) -> None:
    """Check codecs, size, duration and the common start, from ffprobe's description. Raises OutputInvalid."""
    tracks = {track.get("codec_type"): track for track in described.get("streams", ())}
    wanted = {"video": "h264"} if expected.picture else {}
    wanted |= {"audio": "aac"} if expected.has_sound else {}
    if {kind: track.get("codec_name") for kind, track in tracks.items()} != wanted:
        raise OutputInvalid(f"The file has the tracks {sorted(map(str, tracks))}, not {sorted(wanted)}.")
    if expected.picture and (tracks["video"].get("width"), tracks["video"].get("height")) != expected.picture:
        raise OutputInvalid("The picture has another size than planned.")
    if any(data.get("rotation") for track in tracks.values() for data in track.get("side_data_list", ())):
        raise OutputInvalid("Players would turn the picture, which stands upright.")
    for kind, track in tracks.items():
        _check_duration(kind, (seconds(track.get("duration")) or 0.0) - expected.duration_s, expected)
    if len(tracks) == 2:
        starts = [seconds(tracks[kind].get("start_time")) or 0.0 for kind in ("video", "audio")]
        if abs(starts[0] - starts[1] - expected.phase_s) > _START_SLACK_S:
            raise OutputInvalid(f"Picture and sound begin at {starts[0]:.3f} s and {starts[1]:.3f} s.")


def _check_duration(kind: str, longer_s: float, expected: ExpectedFile) -> None:
    slack_s = expected.frame_s + _END_SLACK_S
    if not -slack_s <= longer_s <= (slack_s if kind == "video" else _OVERLAP_S):
        raise OutputInvalid(f"The {kind} track lasts {longer_s:+.2f} s longer than the media.")
