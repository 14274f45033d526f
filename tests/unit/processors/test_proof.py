"""An encode that is not what it should be is never published."""

from fractions import Fraction
from pathlib import Path

import pytest

from processors.errors import CorruptMedia, OutputInvalid, ProcessingError
from processors.proof import Expected, prove, prove_together
from tests.unit.processors.fmp4 import OTHER, rendition, segment

_FRAME_S = Fraction(40, 1000)
_GOOD = (segment(100, 100), segment(4100, 25))


def _expected(duration_s: float = 5.0, *, pictures: bool = True) -> Expected:
    return Expected(name="360p", duration_s=duration_s, frame_s=_FRAME_S, has_pictures=pictures)


def test_a_good_rendition_is_measured(tmp_path: Path) -> None:
    proven = prove(rendition(tmp_path / "a", _GOOD, (4.0, 1.0)), _expected())
    assert proven.duration_s == 5
    assert len(proven.fragments) == 2
    assert proven.peak_bps == round(len(_GOOD[1]) * 8 / 1.0)
    assert proven.average_bps == round(sum(map(len, _GOOD)) * 8 / 5.0)


def test_a_source_that_ended_early_is_at_fault(tmp_path: Path) -> None:
    folder = rendition(tmp_path / "a", _GOOD, (4.0, 1.0))
    with pytest.raises(CorruptMedia, match=r"only 5\.00 s of 8\.00 s can be decoded"):
        prove(folder, _expected(8.0))


def test_a_rendition_that_is_too_long_is_not_the_sources_fault(tmp_path: Path) -> None:
    with pytest.raises(CorruptMedia, match="contradict"):
        prove(rendition(tmp_path / "a", _GOOD, (4.0, 1.0)), _expected(4.9))


def test_a_difference_of_one_frame_is_none(tmp_path: Path) -> None:
    folder = rendition(tmp_path / "a", _GOOD, (4.0, 1.0))
    assert prove(folder, _expected(5.04)).duration_s == prove(folder, _expected(4.96)).duration_s


def test_sound_may_lose_its_encoder_delay(tmp_path: Path) -> None:
    sound = rendition(tmp_path / "a", _GOOD, (4.0, 1.0), audio=True)
    assert prove(sound, _expected(5.1, pictures=False)).init.codec == "mp4a.40.2"


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
    prove_together([one, one], None, _FRAME_S)
    with pytest.raises(OutputInvalid, match="same moments"):
        prove_together([one, other], None, _FRAME_S)


def test_picture_and_sound_must_begin_together(tmp_path: Path) -> None:
    video = prove(rendition(tmp_path / "a", _GOOD, (4.0, 1.0)), _expected())
    near = prove(rendition(tmp_path / "b", (segment(79, 100), segment(4079, 25)), (4.0, 1.0)), _expected())
    far = prove(rendition(tmp_path / "c", (segment(0, 100), segment(4000, 25)), (4.0, 1.0)), _expected())
    prove_together([video], near, _FRAME_S)
    with pytest.raises(OutputInvalid, match=r"0\.100 s apart"):
        prove_together([video], far, _FRAME_S)
