"""The ffmpeg commands of the pictures, as text; and what is decided before them."""

import shlex
from pathlib import Path

import pytest

from processors.contract import Work
from processors.errors import Skipped
from processors.media.storyboard import storyboard
from processors.stills import CHEAPEST_FIRST, Shot, fitted, shots_args, storyboard_args, thumbnail_times
from processors.thumbnails import Thumbnailer
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from schemas.probe import ProbeOutputs, VideoTrack

_VIDEO = VideoTrack(
    index=2,
    codec="h264",
    coded_width_px=1920,
    coded_height_px=1080,
    width_px=1080,
    height_px=1920,
    rotation_deg=90,
    fps=25,
    duration_s=10.0,
    start_s=1.0,
)
_MEDIA = ProbeOutputs(demuxer="mov", container="MP4", size_bytes=1, duration_s=11.0, video=_VIDEO)
_IN = (
    "-f mov -analyzeduration 10000000 -format_whitelist mov {}-probesize 20971520 -protocol_whitelist file {}"
    "-threads 1 -i file:/in/source"
)


def test_thumbnails_are_spread_over_the_video() -> None:
    assert thumbnail_times(_VIDEO, 5) == [2.0, 4.0, 6.0, 8.0, 10.0]


@pytest.mark.parametrize("longest, size", [(1280, (720, 1280)), (4000, (1080, 1920)), (64, (36, 64))])
def test_pictures_are_never_enlarged(longest: int, size: tuple[int, int]) -> None:
    assert fitted(_VIDEO, longest) == size


def test_a_shot_is_a_seek_that_gives_a_picture_its_grey_copy_and_its_time() -> None:
    shots = [Shot(2.0, "thumb-001.jpg", Path("/s")), Shot(0.5, "poster.jpg", Path("/s"), exact=False)]
    args = shlex.join(shots_args(Path("/in/source"), _MEDIA, _VIDEO, shots, 1280))
    exact, before = (
        _IN.format("-noautorotate ", "-reinit_filter:2 0 -ss 2.000000 "),
        _IN.format("-noaccurate_seek -noautorotate ", "-reinit_filter:2 0 -ss 0.500000 "),
    )
    assert args.startswith(f"{exact} {before} -filter_complex ")
    assert "[0:2]transpose=clock[s0];[s0]scale=720:1280" in args
    assert "-f image2 -c:v mjpeg -fps_mode passthrough -frames:v 1 -q:v 4 -threads 1 -update 1 thumb-001.jpg" in args
    assert "-f rawvideo -fps_mode passthrough -frames:v 1 file:/s/thumb-001.jpg.gray" in args
    assert "-f framecrc -enc_time_base 1:1000000 -fps_mode passthrough -frames:v 1 file:/s/thumb-001.jpg.times" in args


def test_where_seeks_are_rough_reading_begins_earlier_and_what_comes_before_is_left_out() -> None:
    shots = [Shot(9.0, "thumb-001.jpg", Path("/s"), 2.5), Shot(2.0, "thumb-002.jpg", Path("/s"), 2.5)]
    args = shlex.join(shots_args(Path("/in/source"), _MEDIA, _VIDEO, shots, 1280))
    assert args.count("-ss ") == 1 and "-ss 6.500000" in args
    assert "[0:2]trim=start=2.500000[" in args
    assert "[1:2]trim=start=2.000000[" in args


def test_shots_from_the_beginning_are_one_decode() -> None:
    shots = [Shot(at_s, f"thumb-{at_s}.jpg", Path("/s"), 12.0) for at_s in (2.0, 4.0)]
    args = shlex.join(shots_args(Path("/in/source"), _MEDIA, _VIDEO, shots, 1280))
    assert args.count("-i file:/in/source") == 1


def test_the_storyboard_takes_the_first_keyframe_of_every_slot() -> None:
    board = storyboard(11.0, 90, 160)
    args = shlex.join(storyboard_args(Path("/in/source"), _MEDIA, _VIDEO, board, Path("/s"), skips="nokey"))
    assert "-skip_frame nokey" in args
    assert "select=lt(t\\,11.000000)*(eq(selected_n\\,0)+gt(floor(t/1.000000+0.000001)\\," in args
    assert "[s0]scale=160:90:flags=bicubic[s1];[s1]transpose=clock" in args
    assert "tile=10x2" in args


def test_a_storyboard_decodes_no_more_than_it_must() -> None:
    board = storyboard(11.0, 90, 160)
    source, scratch = Path("/in/source"), Path("/s")
    every = [storyboard_args(source, _MEDIA, _VIDEO, board, scratch, skips=skips) for skips in CHEAPEST_FIRST]
    assert [args[args.index("-skip_frame") + 1] for args in every] == ["nokey", "noref", "default"]


async def test_sound_alone_has_no_pictures(tmp_path: Path) -> None:
    work = Work(
        source=tmp_path,
        scratch=tmp_path,
        output=tmp_path,
        prefix="a",
        inputs={"probe": {"demuxer": "mp3", "container": "MP3", "size_bytes": 1, "duration_s": 1.0}},
    )
    with pytest.raises(Skipped) as caught:
        await Thumbnailer(Runner(Limits())).process(work)
    assert caught.value.reason == "no-video-track"
