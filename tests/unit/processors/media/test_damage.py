"""A viewer of a damaged film is told what is damaged, and where."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from processors.media.damage import (
    DamageLog,
    JumpLog,
    Span,
    clock,
    damage_warnings,
    is_complaint,
    jump_warnings,
    missing_pictures,
    truncation_warning,
)

_ERROR = b"[h264 @ 0x55b0] [error] corrupted macroblock 2 0 (total_coeff=16)"
_FRAME_S = 0.04


@pytest.mark.parametrize(
    "line, reports",
    [
        (_ERROR, True),
        (b"[error] Error while decoding stream #0:0", True),
        (b"[mpegts @ 0x55] [warning] Packet corrupt (stream = 0, dts = 129840).", True),
        (b"[warning] file:/a.ts: corrupt decoded frame in stream 0", True),
        (b"[mov @ 0x1] [warning] title: [error] of judgement", False),
        (b"[null @ 0x1] [error] Application provided invalid, non monotonically increasing dts", False),
        (b"[info]   title           : [error] at noon", False),
    ],
)
def test_complaints_are_of_demuxers_and_decoders(line: bytes, reports: bool) -> None:
    assert is_complaint(line) == reports


def _packet(at_s: float, kind: str = "video") -> bytes:
    times = f"pkt_pts:{at_s * 1000:.0f} pkt_pts_time:{at_s:g} pkt_dts:NOPTS pkt_dts_time:NOPTS"
    return f"[info] demuxer+ffmpeg -> ist_index:0 type:{kind} {times} duration:40 duration_time:0.04".encode()


def _frame(at_s: float) -> bytes:
    return f"[info] decoder -> ist_index:0 type:video frame_pts:1 frame_pts_time:{at_s:g} best_effort_ts:1".encode()


def _film(frames: int, damaged: range, *, shown: bool) -> Iterator[bytes]:
    """Packets with their frames, of which those in `damaged` have errors, and are not shown or are concealed."""
    for number in range(frames):
        yield _packet(number * _FRAME_S)
        if number in damaged:
            yield _ERROR
        if shown or number not in damaged:
            yield _frame(number * _FRAME_S)
            yield b"[info] muxer <- type:video pkt_pts:1 pkt_pts_time:0.04"


def _spans(lines: Iterator[bytes], duration_s: float) -> tuple[Span, ...]:
    log = DamageLog()
    for line in lines:
        log.feed(line)
    return log.spans(duration_s)


@pytest.mark.parametrize("shown", [False, True])
def test_a_damaged_stretch_lies_between_the_good_frames(shown: bool) -> None:
    ((start_s, end_s),) = _spans(_film(500, range(100, 150), shown=shown), 20.0)
    assert [start_s, end_s] == pytest.approx([3.96, 6.0], abs=0.05)


def test_sound_has_no_lines_for_frames() -> None:
    log = DamageLog()
    for number in range(100):
        log.feed(_packet(number / 10, "audio"))
        log.feed(_ERROR if 40 <= number < 50 else b"[info] muxer <- type:audio pkt_pts:1")
    assert log.spans(10.0) == (Span(4.0, 5.0),)


def test_a_gap_behind_the_damage_belongs_to_it() -> None:
    """Until the next keyframe nothing is shown, and nobody complains."""

    def lines() -> Iterator[bytes]:
        yield from _film(100, range(0), shown=True)
        yield _ERROR
        for number in range(100, 200):
            yield _packet(number * _FRAME_S)
        yield _frame(8.0)

    ((start_s, end_s),) = _spans(lines(), 12.0)
    assert [start_s, end_s] == pytest.approx([3.96, 8.0])


def test_errors_at_the_end_last_until_the_end() -> None:
    def lines() -> Iterator[bytes]:
        yield from _film(100, range(0), shown=True)
        yield _ERROR

    ((start_s, end_s),) = _spans(lines(), 12.0)
    assert [start_s, end_s] == pytest.approx([3.96, 12.0])


def test_recordings_begin_and_end_within_a_frame() -> None:
    assert _spans(_film(250, range(5), shown=False), 10.0) == ()
    assert _spans(_film(250, range(245, 250), shown=False), 10.0) == ()


def test_of_what_cannot_be_decoded_at_all_everything_is_damaged() -> None:
    assert _spans(_film(100, range(100), shown=False), 4.0) == (Span(0.0, 4.0),)


def test_many_damaged_stretches_are_reported_as_few() -> None:
    def lines() -> Iterator[bytes]:
        for number in range(5000):
            yield from (_packet(number * _FRAME_S), _frame(number * _FRAME_S), b"[info] muxer <- ")
            if number % 100 == 50:
                yield _ERROR

    spans = _spans(lines(), 200.0)
    assert len(spans) == 8
    assert all(before.end_s < after.start_s for before, after in pairwise(spans))


def test_a_place_where_recordings_were_joined_is_found_once() -> None:
    log = JumpLog()
    for at_s, offset_s in ((0.0, -1.4), (4.96, -1.4), (5.0, 298.6), (5.02, 298.6), (5.1, 299.5), (9.0, 299.5)):
        line = (
            f"[info] demuxer+ffmpeg -> ist_index:0 pkt_pts_time:{at_s:g} duration_time:0.04 off:1 off_time:{offset_s:g}"
        )
        log.feed(line.encode())
    assert log.jumps_at_s == [5.0]
    (warning,) = jump_warnings(log.jumps_at_s)
    assert (warning.code, warning.start_ms, warning.end_ms) == ("timestamps-jump", 5000, 5000)


def test_a_warning_says_what_is_damaged_and_where() -> None:
    (warning,) = damage_warnings("picture", [Span(62.0, 3723.4)], 7200.0)
    assert (warning.code, warning.start_ms, warning.end_ms) == ("media-damaged", 62_000, 3_723_400)
    assert warning.message.startswith("The picture of the file is damaged from 1:02.0 to 1:02:03.4.")
    (warning,) = damage_warnings("sound", [Span(0.0, 9.9)], 10.0)
    assert warning.message.startswith("The sound of the file is damaged from beginning to end.")


def test_pictures_that_are_missing_have_a_place() -> None:
    gap, shots = missing_pictures([Span(3.0, 7.0)], [4.5, 5.5])
    assert (gap.start_ms, gap.end_ms, shots.start_ms, shots.end_ms) == (3000, 7000, 4500, 5500)
    assert shots.message == "2 thumbnails are missing: the picture of the file is damaged there."
    assert missing_pictures([], []) == ()


def test_a_cut_off_file_says_how_much_there_is() -> None:
    warning = truncation_warning(7.2, 12.0, "file")
    assert (warning.code, warning.start_ms, warning.end_ms) == ("media-truncated", 7200, 12_000)


@pytest.mark.parametrize("at_s, shown", [(0.0, "0:00.0"), (59.96, "1:00.0"), (3599.99, "1:00:00.0")])
def test_times_for_people(at_s: float, shown: str) -> None:
    assert clock(at_s) == shown
