"""Filters that every picture goes through: progressive and upright."""

from typing import Any

from schemas.probe import VideoTrack

#: A chain of ffmpeg-python, which ships no types.
Chain = Any

_TURNS = {90: ("transpose", "clock"), 270: ("transpose", "cclock")}


def deinterlaced(picture: Chain, track: VideoTrack) -> Chain:
    """One frame out of two fields, where frames are flagged so."""
    return picture.filter("bwdif", mode="send_frame", deint="interlaced") if track.interlaced else picture


def upright(picture: Chain, track: VideoTrack) -> Chain:
    """Turned as the display matrix says. ffmpeg's own autorotation is off: what is done stands in the command line."""
    if track.mirrored:
        picture = picture.filter("hflip")
    if track.rotation_deg == 180:
        return picture.filter("hflip").filter("vflip")
    if track.rotation_deg in _TURNS:
        name, direction = _TURNS[track.rotation_deg]
        return picture.filter(name, direction)
    return picture
