"""The test card says what was drawn into it, also small, turned and in the wrong colours."""

import numpy as np
import pytest

from tests.inputs import card


@pytest.mark.parametrize("size", [(320, 180), (160, 90), (180, 320), (176, 144), (160, 284)])
@pytest.mark.parametrize("clock_s", [0.0, 0.04, 1.23, 12.34, 40.9])
def test_the_clock_is_read_at_any_size(size: tuple[int, int], clock_s: float) -> None:
    assert card.read(card.draw(*size, clock_s)).clock_s == pytest.approx(clock_s)


def test_a_flash_is_seen() -> None:
    assert card.read(card.draw(160, 90, 1.0, flash=True)).flash
    assert not card.read(card.draw(160, 90, 1.0)).flash


def test_a_picture_without_a_clock_has_none() -> None:
    assert card.read(np.zeros((90, 160, 3), np.uint8)).clock_s is None
    assert card.read(np.full((90, 160, 3), 128, np.uint8)).clock_s is None


def test_a_turned_picture_is_told_from_one_that_stands() -> None:
    picture = card.draw(160, 90, 1.0)
    assert card.read(picture).corners == card.UPRIGHT
    assert card.read(picture[:, ::-1]).corners == "GRBY"
    assert card.read(np.rot90(picture, 2)).corners == "YBRG"


def test_patches_have_their_colours() -> None:
    assert card.read_patches(card.draw_patches(160, 90)) == card.PATCHES
