"""An encode that is not what it should be is never published."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from processors.errors import OutputIncomplete, OutputInvalid, ProcessingError
from processors.media.encode_validation import Expected, peak_bps, prove, prove_together
from tests.unit.processors.media.fmp4 import OTHER, rendition, segment

_FRAME_S = Fraction(40, 1000)
_GOOD = (segment(100, 100), segment(4100, 25))


def _expected(duration_s: float = 5.0, *, pictures: bool = True, **more: Any) -> Expected:
    usual: dict[str, Any] = {"name": "360p", "frame_s": _FRAME_S, "first_shown_s": Fraction(1, 10)}
    return Expected(duration_s=duration_s, has_pictures=pictures, **usual | more)


def test_a_good_rendition_is_measured(tmp_path: Path) -> None:
    proven = prove(rendition(tmp_path / "a", _GOOD, (4.0, 1.0)), _expected())
    assert proven.duration_s == 5
    assert len(proven.fragments) == 2
    assert proven.peak_bps == round(sum(map(len, _GOOD)) * 8 / 5.0)
    assert proven.average_bps == round(sum(map(len, _GOOD)) * 8 / 5.0)


@pytest.mark.parametrize(
    "sizes, durations, target_s, expected_bps",
    [
        ([500, 1000, 500], [4, 4, 4], 4, 2000),
        ([500, 500, 90], [4, 4, Fraction(1, 50)], 4, round(590 * 8 / Fraction(402, 100))),
        ([90], [Fraction(1, 50)], 1, 36_000),
    ],
)
def test_a_last_segment_of_a_moment_is_no_peak(
    sizes: list[int], durations: list[Fraction], target_s: int, expected_bps: int
) -> None:
    assert peak_bps(sizes, [Fraction(each) for each in durations], target_s) == expected_bps


@pytest.mark.parametrize("duration_s", [8.0, 4.8])
def test_a_wrong_duration_is_not_blamed_on_the_source(tmp_path: Path, duration_s: float) -> None:
    with pytest.raises(OutputInvalid, match="360p lasts 5"):
        prove(rendition(tmp_path / "a", _GOOD, (4.0, 1.0)), _expected(duration_s))


def test_a_difference_of_one_frame_is_none(tmp_path: Path) -> None:
    folder = rendition(tmp_path / "a", _GOOD, (4.0, 1.0))
    assert prove(folder, _expected(5.04)).duration_s == prove(folder, _expected(4.96)).duration_s


def test_the_end_of_a_fast_film_may_miss_as_much_as_that_of_a_slow_one(tmp_path: Path) -> None:
    """Where the last picture ends is a guess in many a container, whatever the frame rate."""
    fast = tuple(segment(start, samples, ticks=4) for start, samples in ((100, 1000), (4100, 250)))
    folder = rendition(tmp_path / "a", fast, (4.0, 1.0))
    assert prove(folder, _expected(5.06, frame_s=Fraction(4, 1000))).duration_s == 5


def test_sound_may_lose_its_encoder_delay(tmp_path: Path) -> None:
    sound = rendition(tmp_path / "a", _GOOD, (4.0, 1.0), audio=True)
    assert prove(sound, _expected(5.1, pictures=False)).init.codec == "mp4a.40.2"


def test_sound_of_parts_that_overlap_may_be_longer_but_not_shorter(tmp_path: Path) -> None:
    sound = rendition(tmp_path / "a", _GOOD, (4.0, 1.0), audio=True)
    assert prove(sound, _expected(4.6, pictures=False)).duration_s == 5
    for duration_s, pictures in ((5.3, False), (4.4, False), (4.6, True)):
        with pytest.raises(OutputInvalid, match="lasts 5"):
            prove(sound, _expected(duration_s, pictures=pictures))


@pytest.mark.parametrize(
    "segments, durations_s, says",
    [
        ((segment(100, 100), segment(4100, 25, flags=OTHER)), (4.0, 1.0), "does not begin with a keyframe"),
        ((segment(100, 100), segment(4140, 25)), (4.0, 1.0), "does not begin where the one before it ends"),
        (_GOOD, (4.0, 1.5), "does not last as long as its playlist says"),
        ((segment(100, 100), segment(4100, 25)[:-1]), (4.0, 1.0), "shorter than its"),
        ((segment(100, 100), b""), (4.0, 1.0), "missing or empty"),
        ((), (), "not finished"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, segments: tuple[bytes, ...], durations_s: tuple[float, ...], says: str
) -> None:
    with pytest.raises(OutputInvalid, match=says):
        prove(rendition(tmp_path / "a", segments, durations_s), _expected())


def test_an_unfinished_playlist_is_not_published(tmp_path: Path) -> None:
    folder = rendition(tmp_path / "a", _GOOD, (4.0, 1.0))
    playlist = folder / "index.m3u8"
    playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST", ""))
    with pytest.raises(OutputInvalid, match="not finished"):
        prove(folder, _expected())


@pytest.mark.parametrize("name", ["0.m4s", "init.mp4", "index.m3u8"])
def test_nothing_may_be_missing(tmp_path: Path, name: str) -> None:
    folder = rendition(tmp_path / "a", _GOOD, (4.0, 1.0))
    (folder / name).unlink()
    with pytest.raises(OutputInvalid, match="missing or empty"):
        prove(folder, _expected())


def test_links_and_other_folders_are_not_published(tmp_path: Path) -> None:
    folder = rendition(tmp_path / "a", _GOOD, (4.0, 1.0))
    (folder / "1.m4s").rename(tmp_path / "elsewhere")
    (folder / "1.m4s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProcessingError, match="missing or empty"):
        prove(folder, _expected())


def test_renditions_must_be_cut_at_the_same_moments(tmp_path: Path) -> None:
    one = prove(rendition(tmp_path / "a", _GOOD, (4.0, 1.0)), _expected())
    other = prove(rendition(tmp_path / "b", (segment(100, 75), segment(3100, 50)), (3.0, 2.0)), _expected())
    prove_together([one, one])
    with pytest.raises(OutputInvalid, match="same moments"):
        prove_together([one, other])


def test_every_rendition_must_begin_where_it_was_planned_to(tmp_path: Path) -> None:
    sound = rendition(tmp_path / "a", (segment(79, 100), segment(4079, 25)), (4.0, 1.0), audio=True)
    primed_s = Fraction(1, 10) - Fraction(1024, 48_000)
    prove(sound, _expected(pictures=False, first_shown_s=primed_s))
    with pytest.raises(OutputInvalid, match=r"360p begins -0\.021 s from where it should"):
        prove(sound, _expected(pictures=False))


@pytest.mark.parametrize("broken", [segment(4140, 25), segment(4100, 25, flags=OTHER)])
def test_a_failure_of_our_own_check_is_neither_retried_nor_blamed_on_the_file(tmp_path: Path, broken: bytes) -> None:
    with pytest.raises(OutputInvalid) as caught:
        prove(rendition(tmp_path / "a", (_GOOD[0], broken), (4.0, 1.0)), _expected())
    record = caught.value.record()
    assert (record.code, record.retriable) == ("output-invalid", False)
    assert record.message.startswith("kinolog's own check rejected the result: Segment 1 of 360p does not begin")
    assert record.message.endswith("This is a fault in kinolog, not in the file.")


@pytest.mark.parametrize("torn", [segment(4100, 25)[:-1], b""])
def test_an_output_that_is_cut_off_may_be_whole_the_next_time(tmp_path: Path, torn: bytes) -> None:
    with pytest.raises(OutputIncomplete) as caught:
        prove(rendition(tmp_path / "a", (_GOOD[0], torn), (4.0, 1.0)), _expected())
    assert (caught.value.code, caught.value.retriable) == ("output-invalid", True)
