"""Sizes are in proportion, even, never larger than the source."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.media.ladder import ladder
from processors.media.profiles import load_profiles

_PROFILE = load_profiles(Path(__file__).parents[4] / "deploy" / "profiles")["hls"]
_SIDES = st.integers(1, 4400).map(lambda half: 2 * half)


def _sizes(width: int, height: int) -> list[tuple[str, int, int]]:
    return [(size.name, size.width_px, size.height_px) for size in ladder(width, height, _PROFILE)]


@pytest.mark.parametrize(
    "source, sizes",
    [
        ((3840, 2160), [("1080p", 1920, 1080), ("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)]),
        ((1280, 720), [("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)]),
        ((1080, 1920), [("1080p", 1080, 1920), ("720p", 720, 1280), ("480p", 480, 854), ("360p", 360, 640)]),
        ((1440, 1080), [("1080p", 1440, 1080), ("720p", 960, 720), ("480p", 640, 480), ("360p", 480, 360)]),
        ((1920, 800), [("1080p", 1920, 800), ("720p", 1280, 534), ("480p", 854, 356), ("360p", 640, 266)]),
        ((640, 360), [("360p", 640, 360), ("240p", 426, 240)]),
        ((640, 272), [("360p", 640, 272), ("240p", 426, 182)]),
        ((426, 240), [("240p", 426, 240)]),
        ((320, 240), [("240p", 320, 240)]),
        ((160, 120), [("120p", 160, 120)]),
        ((2, 2), [("2p", 2, 2)]),
        ((1024, 576), [("576p", 1024, 576), ("360p", 640, 360)]),
        ((768, 576), [("576p", 768, 576), ("360p", 480, 360)]),
        ((960, 500), [("540p", 960, 500), ("360p", 640, 334)]),
        ((880, 494), [("480p", 854, 480), ("360p", 640, 360)]),
        ((1778, 1000), [("1080p", 1778, 1000), ("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)]),
    ],
)
def test_the_ladder_of_usual_sources(source: tuple[int, int], sizes: list[tuple[str, int, int]]) -> None:
    assert _sizes(*source) == sizes


@given(_SIDES, _SIDES)
def test_no_rendition_is_larger_than_the_source_or_odd_or_out_of_proportion(width: int, height: int) -> None:
    found = ladder(width, height, _PROFILE)
    assert found
    for size in found:
        assert 2 <= size.width_px <= width and 2 <= size.height_px <= height
        assert size.width_px % 2 == size.height_px % 2 == 0
        scale = max(size.width_px, size.height_px) / max(width, height)
        assert abs(min(size.width_px, size.height_px) - min(width, height) * scale) <= 2


@given(_SIDES, _SIDES)
def test_names_are_unique_and_sizes_and_rates_fall(width: int, height: int) -> None:
    found = ladder(width, height, _PROFILE)
    assert len({size.name for size in found}) == len(found)
    assert [s.max_bps for s in found] == sorted({s.max_bps for s in found}, reverse=True)
    pixels = [s.width_px * s.height_px for s in found]
    assert pixels == sorted(pixels, reverse=True)


@given(_SIDES, _SIDES)
def test_portrait_is_landscape_turned(width: int, height: int) -> None:
    turned = [(name, across, up) for name, up, across in _sizes(height, width)]
    assert _sizes(width, height) == turned
