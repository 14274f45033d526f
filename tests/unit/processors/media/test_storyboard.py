"""Every moment of a video has its tile, and every tile its place."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.media.storyboard import Storyboard, sprite_name, storyboard, storyboard_vtt

_CUE = re.compile(r"(\S+) --> (\S+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)\n")


def _ms(text: str) -> int:
    hours, minutes, rest = text.split(":")
    return int(hours) * 3_600_000 + int(minutes) * 60_000 + int(rest.replace(".", ""))


def _every_slot(board: Storyboard) -> list[float]:
    return [number * board.interval_s for number in range(board.tiles)]


def test_a_tile_stands_until_the_next_picture_and_never_before_its_own() -> None:
    cues = _CUE.findall(storyboard_vtt(storyboard(10.0, 160, 90), [2.4, 3.0, 7.96]))
    assert [(start, end) for start, end, *_ in cues] == [
        ("00:00:00.000", "00:00:03.000"),
        ("00:00:03.000", "00:00:07.000"),
        ("00:00:07.000", "00:00:10.000"),
    ]


@pytest.mark.parametrize(
    "duration_s, tiles, pictures_s, sparse",
    [
        (60.0, 60, 60.0, False),
        (60.0, 12, 60.0, False),
        (11.5, 2, 11.5, True),
        (10.0, 4, 4.0, False),
        (7200.0, 5, 7200.0, False),
        (7200.0, 0, 7200.0, True),
    ],
)
def test_only_short_films_with_rare_keyframes_are_decoded_whole(
    duration_s: float, tiles: int, pictures_s: float, sparse: bool
) -> None:
    assert storyboard(duration_s, 160, 90).is_sparse(tiles, pictures_s) == sparse


def test_a_short_clip_has_a_tile_a_second() -> None:
    assert storyboard_vtt(storyboard(2.5, 160, 90), [0.04, 1.0, 2.3]) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nstoryboard-001.jpg#xywh=0,0,160,90\n\n"
        "00:00:01.000 --> 00:00:02.000\nstoryboard-001.jpg#xywh=160,0,160,90\n\n"
        "00:00:02.000 --> 00:00:02.500\nstoryboard-001.jpg#xywh=320,0,160,90\n"
    )


@pytest.mark.parametrize(
    "duration_s, tiles, interval_s, sprites",
    [(0.04, 1, 1, 1), (100, 100, 1, 1), (500, 100, 5, 1), (3600, 360, 10, 4)],
)
def test_long_videos_get_wider_steps_and_more_sprites(
    duration_s: float, tiles: int, interval_s: float, sprites: int
) -> None:
    board = storyboard(duration_s, 160, 90)
    assert (board.tiles, board.interval_s, board.sprites(board.tiles)) == (tiles, interval_s, sprites)


@given(st.floats(0.01, 30_000))
def test_cues_cover_the_video_without_gap_and_lie_within_their_sprite(duration_s: float) -> None:
    board = storyboard(duration_s, 160, 90)
    cues = [match.groups() for match in _CUE.finditer(storyboard_vtt(board, _every_slot(board)))]
    assert len(cues) == board.tiles
    assert _ms(cues[0][0]) == 0
    assert abs(_ms(cues[-1][1]) - duration_s * 1000) <= 1
    assert all(before[1] == after[0] for before, after in itertools.pairwise(cues))
    names = {sprite_name(number + 1) for number in range(board.sprites(board.tiles))}
    for _, _, name, x, y, width, height in cues:
        assert name in names
        assert int(x) + int(width) <= board.columns * 160 and int(y) + int(height) <= board.rows * 90
