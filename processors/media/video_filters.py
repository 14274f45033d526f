"""Filters that every picture goes through: progressive, upright, in the range of a screen, scaled."""

from typing import Any

from schemas.probe import VideoTrack

#: A chain of ffmpeg-python, which ships no types.
Chain = Any

#: Nits of reference white, as zscale's npl. Source: ffmpeg-filters(1) zscale, tonemap; ITU-R BT.2408 (203 nits) would
#: darken material graded for consumer screens.
_WHITE_NITS = 100
_TURNS = {90: ("transpose", "clock"), 270: ("transpose", "cclock")}


def deinterlaced(picture: Chain, track: VideoTrack) -> Chain:
    """One frame out of two fields, where frames are flagged so."""
    return picture.filter("bwdif", mode="send_frame", deint="interlaced") if track.interlaced else picture


def upright(picture: Chain, track: VideoTrack) -> Chain:
    """Turned as the display matrix says. ffmpeg's own autorotation is off: what is done stands in the command line."""
    if track.rotation_deg == 180:
        return picture.filter("hflip").filter("vflip")
    if track.rotation_deg in _TURNS:
        name, direction = _TURNS[track.rotation_deg]
        return picture.filter(name, direction)
    return picture


def tone_mapped(picture: Chain, track: VideoTrack) -> Chain:
    """HDR brought to BT.709. The input's colours are named here, as many a file does not say them in full."""
    if not track.hdr:
        return picture
    source = {"tin": track.color_transfer, "pin": "bt2020", "min": "bt2020nc", "rin": "tv"}
    return (
        picture.filter("zscale", **source, t="linear", npl=_WHITE_NITS)
        .filter("format", "gbrpf32le")
        .filter("zscale", p="bt709")
        .filter("tonemap", tonemap="hable", desat=0)
        .filter("zscale", t="bt709", m="bt709", r="tv")
    )


def scaled(picture: Chain, width_px: int, height_px: int) -> Chain:
    """To that size, in square pixels."""
    return picture.filter("scale", width_px, height_px, flags="bicubic").filter("setsar", 1)
