"""Colour conversion: what a source's colours are, and the filters that make BT.709 or JPEG of them.

swscale guesses: it takes untagged pictures for BT.601, writes RGB as BT.601, and keeps the tags of its input. So every
conversion names both sides. Source: ITU-T H.273; ITU-R BT.709, BT.601, BT.2020, BT.2100; JFIF 1.02.
"""

import re
from dataclasses import dataclass, replace

from processors.media.video_filters import Chain
from schemas.probe import VideoTrack

#: PQ and HLG. Source: ffmpeg's names for ITU-T H.273 transfer characteristics 16 and 18.
HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})
#: Nits of reference white, as zscale's npl. Source: ffmpeg-filters(1) zscale, tonemap; ITU-R BT.2408 (203 nits) would
#: darken material graded for consumer screens.
_WHITE_NITS = 100
#: ffprobe's names of matrices that swscale has, and swscale's. Source: libavfilter/vf_scale.c, parse_yuv_type.
_SWSCALE = {
    "bt709": "bt709",
    "smpte170m": "bt601",
    "bt470bg": "bt601",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
}
#: Matrices that only zscale has.
_ZSCALE = frozenset({"bt2020c", "ycgco"})
#: Primaries that reach beyond BT.709's by more than a viewer overlooks; those of NTSC and PAL do not.
_WIDE = frozenset({"bt2020", "smpte428", "smpte431", "smpte432"})
#: Transfer characteristics that zscale knows by ffprobe's name; others look like BT.709's.
_TRANSFERS = HDR_TRANSFERS | {"smpte170m", "linear", "iec61966-2-1", "iec61966-2-4", "bt2020-10", "bt2020-12"}
#: Untagged pictures of this size are HD and in BT.709, smaller ones in BT.601, as players take them.
_HD_WIDTH_PX, _HD_ABOVE_HEIGHT_PX = 1280, 576
_RGB = re.compile(r"(a|0|x2)?(rgb|bgr|gbr)|pal8|bayer|mono")
_ALPHA = re.compile(r"yuva|gbrap|rgba|bgra|argb|abgr|ya\d|pal8")
_GREY = re.compile(r"gray|ya\d")
#: Codecs whose grey pictures are one plane of a film, in its limited range.
_FILM = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg2video", "mpeg4", "prores"})
#: Decoders of films whose transparency is a film of its own, which ffmpeg's native ones leave out.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_EXACT = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_TAGS = {"range": "tv", "color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709"}


@dataclass(frozen=True, kw_only=True)
class Colours:
    """The colours of a picture, by ffprobe's names. The matrix of RGB is "gbr"."""

    matrix: str
    primaries: str
    transfer: str
    full_range: bool
    has_alpha: bool = False

    @property
    def range(self) -> str:
        """ffmpeg's name of the range."""
        return "pc" if self.full_range else "tv"


BT709 = Colours(matrix="bt709", primaries="bt709", transfer="bt709", full_range=False)


def has_alpha(pixel_format: str | None) -> bool:
    """Whether pictures of this pixel format have transparent parts."""
    return bool(_ALPHA.match(pixel_format or ""))


def source_colours(track: VideoTrack) -> Colours:
    """The colours of a track: its tags where they can be right, else what players assume."""
    pixels = track.pixel_format or ""
    primaries = track.color_primaries or ""
    transfer = track.color_transfer if track.color_transfer in _TRANSFERS else None
    return Colours(
        matrix=_matrix(track, pixels),
        primaries=primaries if primaries in _WIDE else "bt2020" if track.hdr else "bt709",
        transfer=transfer or "bt709",
        full_range=_full_range(track, pixels),
        has_alpha=track.alpha,
    )


def _matrix(track: VideoTrack, pixels: str) -> str:
    if _RGB.match(pixels):
        return "gbr"
    if track.color_space in _SWSCALE or track.color_space in _ZSCALE:
        return track.color_space
    if track.hdr:
        return "ictcp" if track.color_space == "ictcp" else "bt2020nc"
    hd = track.coded_width_px >= _HD_WIDTH_PX or track.coded_height_px > _HD_ABOVE_HEIGHT_PX
    return "bt709" if hd else "smpte170m"


def _full_range(track: VideoTrack, pixels: str) -> bool:
    if _RGB.match(pixels) or pixels.startswith("yuvj"):
        return True
    if track.color_range in ("pc", "tv"):
        return track.color_range == "pc"
    return bool(_GREY.match(pixels)) and track.codec not in _FILM


def decoder_options(track: VideoTrack) -> dict[str, str]:
    """Input options for a track whose transparency ffmpeg's own decoder leaves out."""
    decoder = _ALPHA_DECODERS.get(track.codec) if track.alpha and not has_alpha(track.pixel_format) else None
    return {f"c:{track.index}": decoder} if decoder else {}


def prepared(picture: Chain, track: VideoTrack, width_px: int, height_px: int) -> tuple[Chain, Colours]:
    """The picture as `scaled` can finish it, and its colours: without HDR, wide primaries and transparency.

    Where that takes work it is done at the size given: the largest that is needed.
    """
    colours = source_colours(track)
    if colours.has_alpha:
        picture = _on_black(picture, colours, width_px, height_px)
        colours = replace(colours, matrix="gbr", full_range=True, has_alpha=False)
    if track.hdr:
        return _tone_mapped(_sized(picture, width_px, height_px), colours), BT709
    if colours.primaries in _WIDE or colours.matrix in _ZSCALE:
        return _narrowed(_sized(picture, width_px, height_px), colours), BT709
    return picture, colours


def scaled(picture: Chain, width_px: int, height_px: int, colours: Colours) -> Chain:
    """In that size, in square pixels, in BT.709 and limited range."""
    if colours == BT709:
        return _sized(picture, width_px, height_px).filter("setsar", 1)
    return (
        picture.filter("scale", width_px, height_px, **_from(colours), **_to("bt709", "tv"))
        .filter("format", "yuv420p")
        .filter("setsar", 1)
    )


def tagged(picture: Chain) -> Chain:
    """Ready for an encoder, with the tags of BT.709."""
    return picture.filter("format", "yuv420p").filter("setparams", **_TAGS)


def as_jpeg(picture: Chain) -> Chain:
    """Out of BT.709, for a JPEG file: BT.601 in full range. Source: JFIF 1.02, ITU-T T.871."""
    return picture.filter("scale", **_from(BT709), **_to("bt601", "pc")).filter("format", "yuvj420p")


def _sized(picture: Chain, width_px: int, height_px: int) -> Chain:
    return picture.filter("scale", width_px, height_px, flags="bicubic")


def _from(colours: Colours) -> dict[str, str]:
    known = {"in_range": colours.range, "flags": _EXACT}
    return known if colours.matrix == "gbr" else {"in_color_matrix": _SWSCALE[colours.matrix], **known}


def _to(matrix: str, colour_range: str) -> dict[str, str]:
    return {"out_color_matrix": matrix, "out_range": colour_range}


def _on_black(picture: Chain, colours: Colours, width_px: int, height_px: int) -> Chain:
    """Transparent parts as on a player's black."""
    whole = picture.filter("scale", width_px, height_px, **_from(colours)).filter("format", "gbrap")
    return whole.filter("premultiply", inplace=1).filter("format", "gbrp")


def _linear(colours: Colours) -> dict[str, str]:
    """zscale's options for its input: many a file does not say them in full."""
    matrix = colours.matrix
    return {"tin": colours.transfer, "pin": colours.primaries, "min": matrix, "rin": colours.range}


def _tone_mapped(picture: Chain, colours: Colours) -> Chain:
    """HDR brought to BT.709."""
    return (
        picture.filter("zscale", **_linear(colours), t="linear", npl=_WHITE_NITS)
        .filter("format", "gbrpf32le")
        .filter("zscale", p="bt709")
        .filter("tonemap", tonemap="hable", desat=0)
        .filter("zscale", t="bt709", m="bt709", r="tv")
        .filter("format", "yuv420p")
    )


def _narrowed(picture: Chain, colours: Colours) -> Chain:
    """Wide primaries brought to BT.709's; what lies outside is clipped."""
    return picture.filter("zscale", **_linear(colours), p="bt709", t="bt709", m="bt709", r="tv").filter(
        "format", "yuv420p"
    )
