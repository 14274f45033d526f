"""Channels: many are mixed, and what would cancel itself is noticed."""

import pytest

from processors.errors import ToolFailed
from processors.media.channels import is_cancelled, mixed


def test_what_has_a_layout_is_left_to_ffmpeg() -> None:
    assert mixed(1) == mixed(6) == mixed(8) == ()


def test_every_one_of_many_channels_is_heard_on_both_sides() -> None:
    (name, options), (limiter, _) = mixed(9)
    every = "+".join(f"0.3333*c{number}" for number in range(9))
    assert (name, options["args"], limiter) == ("pan", f"stereo|c0={every}|c1={every}", "alimiter")


def _levels(middle: str, side: str) -> str:
    return "".join(f"[Parsed_astats_5 @ 0x1] Channel: 1\n[…] RMS level dB: {level}\n" for level in (middle, side))


@pytest.mark.parametrize(
    "middle, side, cancelled",
    [("-inf", "-20.1", True), ("-90.3", "-20.0", True), ("-26.0", "-26.0", False), ("-20.0", "-inf", False)],
)
def test_sides_that_cancel_each_other_are_noticed(middle: str, side: str, cancelled: bool) -> None:
    assert is_cancelled(_levels(middle, side)) is cancelled


def test_missing_levels_are_a_fault_of_the_tool() -> None:
    with pytest.raises(ToolFailed):
        is_cancelled("")
