"""Filters that every picture goes through: progressive and upright."""

from typing import Any

from schemas.probe import VideoTrack

#: A chain of ffmpeg-python, which ships no types.
Chain = Any

_TURNS = {90: ("transpose", "clock"), 270: ("transpose", "cclock")}


def steady_options(track: VideoTrack) -> dict[str, int]:
    """Input options: a change of size or pixel format midway does not begin the filters again, which would fill from 0.

    `steady` is the filter that then takes such pictures. Source: ffmpeg(1), -reinit_filter.
    """
    return {f"reinit_filter:{track.index}": 0}


def steady(picture: Chain, track: VideoTrack) -> Chain:
    """Every picture in the size of the first one; without a change they pass as they are."""
    return picture.filter("scale", track.coded_width_px, track.coded_height_px, flags="bicubic")


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
