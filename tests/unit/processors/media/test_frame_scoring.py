"""A poster shows something."""

from hypothesis import given
from hypothesis import strategies as st

from processors.media.frame_scoring import LOOK_BYTES, best, is_black, looks

_BLACK, _WHITE = bytes([16]) * LOOK_BYTES, bytes([235]) * LOOK_BYTES
_SCENE = bytes(range(256))


def test_video_black_is_black_and_a_scene_is_not() -> None:
    assert is_black(_BLACK) and is_black(bytes(LOOK_BYTES))
    assert not is_black(_SCENE) and not is_black(_WHITE)


def test_the_richest_picture_is_chosen() -> None:
    assert best([_BLACK, _WHITE, _SCENE, _SCENE]) == 2
    assert best([_BLACK, _WHITE]) == 1
    assert best([_BLACK, _BLACK]) == 0
    assert best([]) is None


@given(st.binary(max_size=3 * LOOK_BYTES))
def test_a_cut_copy_is_left_out(content: bytes) -> None:
    assert len(looks(content)) == len(content) // LOOK_BYTES
