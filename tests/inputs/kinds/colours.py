"""Colours: every matrix, range, depth and sampling that files come in; what is right is what BT.709 shows of it."""

from tests.inputs.card import PATCHES
from tests.inputs.expected import Input, Make, Patch, plays_picture
from tests.inputs.recipes import film

_EXACT = "flags=accurate_rnd+full_chroma_int"
_TAG709 = "-colorspace bt709 -color_primaries bt709 -color_trc bt709"
_X264 = "-c:v libx264 -preset ultrafast -crf 8 -g 25"
_X265 = "-c:v libx265 -preset ultrafast -crf 8 -x265-params log-level=error -tag:v hvc1"
#: As graphics of 203 cd/m2 white. Source: ITU-R BT.2408.
_LINEAR = (
    "format=gbrp,setparams=colorspace=gbr:color_primaries=bt709:color_trc=bt709:range=pc,"
    "zscale=t=linear:npl=203,format=gbrpf32le"
)
#: The colour of a patch that is made transparent, though its pixels keep it.
_KEYED = "colorkey=0x{:02x}{:02x}{:02x}:0.02:0".format(*PATCHES["moss"])


def _scaled(matrix: str, pixels: str, colour_range: str = "tv") -> str:
    return f"-vf scale=out_color_matrix={matrix}:out_range={colour_range}:{_EXACT},format={pixels}"


def _hdr(transfer: str, colour_range: str = "tv") -> str:
    converted = f"{_LINEAR},zscale=p=bt2020:t={transfer}:m=bt2020nc:r={colour_range},format=yuv420p10le"
    tags = f"-color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -color_range {colour_range}"
    return f"-vf {converted} {tags} {_X265}"


def _card(encoded: str, name: str = "colours.mp4", size: tuple[int, int] = (320, 180)) -> Make:
    return film(name, encoded, patches=True, size=size, sound_s=0.0, seconds=2.0)


def _exact(*names: str, slack: int = 4, **others: tuple[int, int, int]) -> dict[str, Patch]:
    """The patches as they were drawn, or only those named; `others` in another colour."""
    kept = {name: PATCHES[name] for name in names or PATCHES} | others
    return {name: Patch(rgb=rgb, slack=slack) for name, rgb in kept.items()}


def _input(name: str, make: Make, patches: dict[str, Patch] | None, size: tuple[int, int] | None = (320, 180)) -> Input:
    return Input(
        name=f"colours/{name}", make=make, expected=plays_picture(2.0, has_card=False, patches=patches, size=size)
    )


_HD = (1280, 720)
#: What the ladder's tone curve (Hable, 100 cd/m2) makes of the card. Whoever changes the curve changes these.
_TONE_MAPPED = _exact(
    "black",
    slack=8,
    white=(157, 157, 157),
    grey=(86, 86, 86),
    red=(157, 0, 0),
    blue=(0, 0, 157),
    skin=(129, 97, 77),
)

INPUTS = (
    # Report: remotion-dev/remotion#11440, amietn/vcsi#52
    _input("BT.709, HD", _card(f"{_scaled('bt709', 'yuv420p')} {_TAG709} {_X264}", size=_HD), _exact(), _HD),
    _input("BT.709, small", _card(f"{_scaled('bt709', 'yuv420p')} {_TAG709} {_X264}"), _exact()),
    _input("HD without tags", _card(f"{_scaled('bt709', 'yuv420p')} {_X264}", size=_HD), _exact(), _HD),
    _input(
        "BT.601, NTSC",
        _card(
            f"{_scaled('bt601', 'yuv420p')} -colorspace smpte170m -color_primaries bt709 -color_trc bt709 {_X264}",
            size=(320, 240),
        ),
        _exact(),
        (320, 240),
    ),
    _input(
        "PAL without tags",
        _card(f"{_scaled('bt601', 'yuv420p')} -c:v mpeg4 -q:v 2 -g 25", "pal.avi", (720, 576)),
        _exact(),
        None,
    ),
    # Report: HandBrake/HandBrake#2561
    _input(
        "full range",
        _card(f"{_scaled('bt709', 'yuvj420p', 'pc')} {_TAG709} -color_range pc {_X264}"),
        _exact(),
    ),
    _input("motion JPEG", _card(f"{_scaled('bt601', 'yuvj422p', 'pc')} -c:v mjpeg -q:v 2", "camera.avi"), _exact()),
    _input(
        "RGB, H.264", _card("-c:v libx264rgb -preset ultrafast -crf 8 -pix_fmt rgb24", "rgb.mkv", _HD), _exact(), _HD
    ),
    _input("RGB, lossless", _card("-c:v ffv1 -pix_fmt gbrp", "rgb.mkv"), _exact()),
    # Report: pulsejet/memories#406, rigaya/NVEnc#179
    _input("HLG", _card(_hdr("arib-std-b67")), _TONE_MAPPED),
    _input("HLG, full range", _card(_hdr("arib-std-b67", "pc")), _TONE_MAPPED),
    # Report: LibrePhotos/librephotos#2044
    _input("PQ", _card(_hdr("smpte2084")), _TONE_MAPPED),
    _input(
        "BT.2020 of ordinary range",
        _card(
            f"-vf {_LINEAR},zscale=p=bt2020:t=2020_10:m=2020_ncl:r=tv,format=yuv420p10le "
            f"-color_primaries bt2020 -color_trc bt2020-10 -colorspace bt2020nc {_X265}"
        ),
        # Ten bits of BT.2020 are off by 7 where BT.709 reaches its edge, whoever decodes them.
        _exact(slack=9),
    ),
    # Report: dirkvdb/ffmpegthumbnailer#169
    _input("10 bits", _card(f"{_scaled('bt709', 'yuv420p10le')} {_TAG709} {_X264}"), _exact()),
    _input("4:2:2", _card(f"{_scaled('bt709', 'yuv422p')} {_TAG709} {_X264}"), _exact()),
    # Report: Chocobozzz/PeerTube#4155
    _input("4:4:4", _card(f"{_scaled('bt709', 'yuv444p')} {_TAG709} {_X264}"), _exact()),
    _input(
        "grey only",
        _card("-vf format=gray -c:v ffv1", "grey.mkv"),
        _exact("white", "black", "grey"),
    ),
    # Report: heygen-com/hyperframes#3220
    _input(
        "transparent, QuickTime", _card(f"-vf {_KEYED},format=argb -c:v qtrle", "clear.mov"), _exact(moss=(0, 0, 0))
    ),
    _input(
        "transparent, ProRes",
        _card(
            # The encoder writes the tags of its frames, not those of the command line.
            f"-vf {_KEYED},scale=out_color_matrix=bt709:out_range=tv:{_EXACT},format=yuva444p10le,"
            "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709 -c:v prores_ks -profile:v 4444",
            "clear.mov",
        ),
        _exact(moss=(0, 0, 0)),
    ),
    # Report: google/ExoPlayer#2509
    _input(
        "transparent, WebM",
        _card(
            f"-vf {_KEYED},scale=out_color_matrix=bt709:out_range=tv:{_EXACT},format=yuva420p {_TAG709} "
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 10 -b:v 0 -g 25",
            "clear.webm",
        ),
        _exact(moss=(0, 0, 0)),
    ),
    # Report: e621ng/e621ng#2322, immich-app/immich#16154
    _input(
        "tags that contradict the pixels",
        _card(f"{_scaled('bt709', 'yuv420p')} -colorspace ictcp -color_primaries bt709 -color_trc bt2020-10 {_X264}"),
        None,
    ),
)
