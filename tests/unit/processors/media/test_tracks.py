"""Which tracks are used, and what a person sees of them."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.media.tracks import (
    audio_track,
    best_audio,
    best_video,
    count,
    display_size,
    even,
    orientation,
    seconds,
    steady_rate,
    video_track,
)


def video(index: int = 0, width: int = 1920, height: int = 1080, **more: Any) -> dict[str, Any]:
    return {"index": index, "codec_type": "video", "codec_name": "h264", "width": width, "height": height, **more}


def audio(index: int = 1, channels: int = 2, **more: Any) -> dict[str, Any]:
    return {"index": index, "codec_type": "audio", "codec_name": "aac", "channels": channels, **more}


def test_a_cover_picture_is_no_video() -> None:
    cover = video(disposition={"attached_pic": 1, "default": 1})
    assert best_video([cover]) is None
    assert count([cover, audio()], "video") == 0


def test_the_default_track_is_used_and_else_the_largest() -> None:
    small, large = video(0, 320, 240), video(1)
    assert best_video([small, large]) is large
    assert best_video([small | {"disposition": {"default": 1}}, large]) == small | {"disposition": {"default": 1}}


def test_sound_with_most_channels_is_used_unless_another_is_the_default() -> None:
    stereo, surround = audio(0), audio(1, 6)
    assert best_audio([stereo, surround]) is surround
    assert best_audio([stereo | {"disposition": {"default": 1}}, surround])["index"] == 0  # type: ignore[index]


def test_tracks_that_nothing_is_known_of_are_not_used() -> None:
    assert best_video([video(width=0)]) is None
    assert best_audio([{"index": 0, "codec_type": "audio", "channels": 2}]) is None


@pytest.mark.parametrize("angle, turn", [(0, 0), (-90, 90), (90, 270), (180, 180), (-180, 180), (-89.6, 90)])
def test_rotation_is_counted_clockwise(angle: float, turn: int) -> None:
    assert orientation({"side_data_list": [{"side_data_type": "x"}, {"rotation": angle}]}) == (turn, False)


@pytest.mark.parametrize(
    "matrix, turn, mirrored",
    [
        ((1, 0, 0, 1), 0, False),
        ((0, 1, -1, 0), 90, False),
        ((-1, 0, 0, -1), 180, False),
        ((0, -1, 1, 0), 270, False),
        ((-1, 0, 0, 1), 0, True),
        ((1, 0, 0, -1), 180, True),
        ((0, 1, 1, 0), 270, True),
        ((0, -1, -1, 0), 90, True),
    ],
)
def test_a_mirrored_film_is_not_taken_for_one_that_is_upside_down(
    matrix: tuple[int, ...], turn: int, mirrored: bool
) -> None:
    a, b, c, d = matrix
    rows = [(a << 16, b << 16, 0), (c << 16, d << 16, 0), (20971520, 0, 1 << 30)]
    text = "\n" + "".join(f"{row:08x}: {x:11d} {y:11d} {z:11d}\n" for row, (x, y, z) in enumerate(rows))
    side = {"side_data_type": "Display Matrix", "displaymatrix": text, "rotation": -180}
    assert orientation({"side_data_list": [side]}) == (turn, mirrored)


@pytest.mark.parametrize(
    "track, rotation, size",
    [
        (video(), 0, (1920, 1080)),
        (video(), 90, (1080, 1920)),
        (video(), 180, (1920, 1080)),
        (video(), 270, (1080, 1920)),
        (video(width=720, height=576, sample_aspect_ratio="64:45"), 0, (1024, 576)),
        (video(width=720, height=480, sample_aspect_ratio="8:9"), 0, (720, 540)),
        (video(width=321, height=241), 0, (320, 240)),
        (video(width=1, height=1), 0, (2, 2)),
        (video(width=100, height=100, sample_aspect_ratio="0:1"), 0, (100, 100)),
        (video(width=100, height=100, sample_aspect_ratio="9999:1"), 0, (100, 100)),
    ],
)
def test_the_size_is_what_a_person_sees(track: dict[str, Any], rotation: int, size: tuple[int, int]) -> None:
    assert display_size(track, rotation) == size


@pytest.mark.parametrize(
    "average, guess, interlaced, rate",
    [
        ("25/1", "25/1", False, "25"),
        ("30000/1001", "30000/1001", False, "30000/1001"),
        ("1000/41", "30/1", False, "30"),
        ("5040/179", "60/1", False, "60"),
        ("5130/89", "120/1", False, "5130/89"),
        ("2/1", "30/1", False, "10"),
        ("25/1", "50/1", True, "25"),
        ("24/1", "90000/1", False, "24"),
        ("1/1", "1/1", False, "10"),
        ("0/0", "0/0", False, "25"),
    ],
)
def test_uneven_frames_get_a_steady_rate(average: str, guess: str, interlaced: bool, rate: str) -> None:
    assert steady_rate({"avg_frame_rate": average, "r_frame_rate": guess}, interlaced) == Fraction(rate)


def test_hdr_and_interlacing_are_noticed() -> None:
    track = video_track(video(color_transfer="smpte2084", field_order="tt"), start_s=0, duration_s=1)
    assert track.hdr and track.interlaced


@pytest.mark.parametrize(
    "text, value",
    [("1.5", 1.5), ("00:01:01.5", 61.5), ("N/A", None), (None, None), ("nan", None), (":".join("1" * 300), None)],
)
def test_times_are_read(text: object, value: float | None) -> None:
    assert seconds(text) == value


@given(st.floats(0, 20_000))
def test_sizes_are_even_and_near(length: float) -> None:
    assert even(length) % 2 == 0
    assert even(length) == 2 or abs(even(length) - length) <= 1


@pytest.mark.parametrize(
    "told, known", [("eng", "eng"), ("zh-Hant", "zh-Hant"), ("und", None), ("x" * 100_000, None), ("a\nb", None)]
)
def test_a_language_is_one_or_nothing(told: str, known: str | None) -> None:
    assert audio_track(audio(tags={"language": told})).language == known
