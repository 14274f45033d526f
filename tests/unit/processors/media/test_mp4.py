"""The boxes that a proof needs are read, and broken ones are called broken."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import OutputInvalid
from processors.media.mp4 import Init, boxes, read_fragment, read_init
from tests.unit.processors.media.fmp4 import OTHER, box, init, segment


def test_codecs_are_read_from_the_init_segment() -> None:
    assert read_init(init()) == Init(codec="avc1.64001f", timescale=1000, default_ticks=40, default_flags=OTHER)
    assert read_init(init(audio=True)).codec == "mp4a.40.2"


def test_the_edit_list_counts_but_not_its_empty_part() -> None:
    assert read_init(init(edit_ticks=80)).edit_ticks == 80


def test_a_segment_is_measured(tmp_path: Path) -> None:
    (tmp_path / "0.m4s").write_bytes(segment(1000, 50, offset=80) + segment(3000, 25, flags=OTHER))
    found = read_fragment(tmp_path / "0.m4s", read_init(init(edit_ticks=80)))
    assert found.start_s == found.shown_s == 1
    assert found.duration_s == 3
    assert found.samples == 75
    assert found.starts_with_keyframe


def test_a_picture_may_be_shown_before_its_decoding_time(tmp_path: Path) -> None:
    (tmp_path / "0.m4s").write_bytes(segment(1000, 2, offset=-80))
    found = read_fragment(tmp_path / "0.m4s", read_init(init()))
    assert found.start_s == 1
    assert found.shown_s == Fraction(920, 1000)


def test_a_segment_that_begins_between_keyframes_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "0.m4s").write_bytes(segment(0, 2, flags=OTHER))
    found = read_fragment(tmp_path / "0.m4s", read_init(init()))
    assert not found.starts_with_keyframe
    assert found.duration_s == Fraction(80, 1000)


@pytest.mark.parametrize(
    "content",
    [
        segment(0, 5)[:-1],
        segment(0, 0),
        b"",
        b"\0\0\0",
        box(b"moof") + box(b"mdat", bytes(9)),
        segment(0, 5)[:-50] + box(b"mdat"),
    ],
)
def test_a_cut_segment_is_called_invalid(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0.m4s").write_bytes(content)
    with pytest.raises(OutputInvalid):
        read_fragment(tmp_path / "0.m4s", read_init(init()))


@pytest.mark.parametrize("content", [b"", init()[:-40], box(b"moov", box(b"mvex")), box(b"ftyp")])
def test_an_incomplete_init_segment_is_called_invalid(content: bytes) -> None:
    with pytest.raises(OutputInvalid):
        read_init(content)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    for read in (read_init, lambda found: list(boxes(found))):
        try:
            read(content)
        except OutputInvalid:
            continue
