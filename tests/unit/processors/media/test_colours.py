"""What the colours of a source are taken for, and the filters that bring them to a screen and into a JPEG file."""

from typing import Any

import ffmpeg
import pytest

from processors.media.colours import BT709, as_jpeg, decoder_options, prepared, scaled, source_colours, tagged
from schemas.probe import VideoTrack


def _track(**changes: Any) -> VideoTrack:
    form: dict[str, Any] = {"coded_width_px": 640, "coded_height_px": 360, "width_px": 640, "height_px": 360}
    return VideoTrack(**{"index": 0, "codec": "h264", "pixel_format": "yuv420p", "fps": 25, **form, **changes})


_709 = {"color_space": "bt709"}
_TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
_EXACT = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


@pytest.mark.parametrize(
    "changes, matrix, full_range",
    [
        (_709, "bt709", False),
        ({"color_space": "bt470bg", "color_range": "pc"}, "bt470bg", True),
        ({"color_space": None}, "smpte170m", False),
        ({"color_space": "unknown", "coded_width_px": 720, "coded_height_px": 576}, "smpte170m", False),
        ({"color_space": "unknown", "coded_width_px": 1280}, "bt709", False),
        ({"color_space": "reserved", "coded_height_px": 608}, "bt709", False),
        ({"color_space": "ictcp"}, "smpte170m", False),
        ({"pixel_format": "yuvj420p", **_709}, "bt709", True),
        ({"pixel_format": "gbrp", "color_space": "gbr", "color_range": "tv"}, "gbr", True),
        ({"pixel_format": "bgr0"}, "gbr", True),
        ({"pixel_format": "gray", "codec": "ffv1"}, "smpte170m", True),
        ({"pixel_format": "gray", "codec": "h264"}, "smpte170m", False),
        ({"hdr": True, "color_transfer": "smpte2084"}, "bt2020nc", False),
    ],
)
def test_untagged_pictures_are_taken_for_what_players_take_them_for(
    changes: dict[str, Any], matrix: str, full_range: bool
) -> None:
    colours = source_colours(_track(**changes))
    assert (colours.matrix, colours.full_range) == (matrix, full_range)


def _filters(**changes: Any) -> str:
    track = _track(**changes)
    picture, colours = prepared(ffmpeg.input("x")["0"], track, 320, 180)
    graph = tagged(scaled(picture, 320, 180, colours)).output("y").get_args()[3]
    return ",".join(part.rpartition("]")[2] for part in _steps(graph))


def _steps(graph: str) -> list[str]:
    return [step.partition("]")[2].rpartition("[")[0] for step in graph.split(";")]


@pytest.mark.parametrize(
    "changes, filters",
    [
        # what nearly every film is costs nothing
        (_709, "scale=320:180:flags=bicubic,setsar=1"),
        (
            {"color_space": "smpte170m"},
            (
                f"scale=320:180:{_EXACT}:in_color_matrix=bt601:in_range=tv:out_color_matrix=bt709:out_range=tv,"
                "format=yuv420p,setsar=1"
            ),
        ),
        (
            {"pixel_format": "rgb24"},
            f"scale=320:180:{_EXACT}:in_range=pc:out_color_matrix=bt709:out_range=tv,format=yuv420p,setsar=1",
        ),
        (
            {"pixel_format": "yuva420p", "alpha": True, **_709},
            (
                f"scale=320:180:{_EXACT}:in_color_matrix=bt709:in_range=tv,format=gbrap,premultiply=inplace=1,format=gbrp,"
                f"scale=320:180:{_EXACT}:in_range=pc:out_color_matrix=bt709:out_range=tv,format=yuv420p,setsar=1"
            ),
        ),
        (
            {"color_space": "bt2020nc", "color_primaries": "bt2020", "color_transfer": "bt2020-10"},
            (
                "scale=320:180:flags=bicubic,"
                "zscale=m=bt709:min=bt2020nc:p=bt709:pin=bt2020:r=tv:rin=tv:t=bt709:tin=bt2020-10,format=yuv420p,"
                "scale=320:180:flags=bicubic,setsar=1"
            ),
        ),
    ],
)
def test_every_picture_becomes_bt709(changes: dict[str, Any], filters: str) -> None:
    assert _filters(**changes) == f"{filters},format=yuv420p,{_TAGS}"


def test_jpeg_files_are_bt601_in_full_range() -> None:
    graph = as_jpeg(scaled(ffmpeg.input("x")["0"], 320, 180, BT709)).output("y").get_args()[3]
    assert _steps(graph)[-2:] == [
        f"scale={_EXACT}:in_color_matrix=bt709:in_range=tv:out_color_matrix=bt601:out_range=pc",
        "format=yuvj420p",
    ]


def test_transparency_in_a_film_of_its_own_needs_another_decoder() -> None:
    assert decoder_options(_track(codec="vp9", alpha=True, index=3)) == {"c:3": "libvpx-vp9"}
    assert decoder_options(_track(codec="vp9")) == {}
    assert decoder_options(_track(codec="prores", pixel_format="yuva444p12le", alpha=True)) == {}
