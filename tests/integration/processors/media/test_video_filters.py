"""Pictures that stand for a video show something, upright, and the storyboard leads to its tiles."""

import subprocess
from pathlib import Path
from statistics import fmean

import pytest

from tests.integration.processors.conftest import Bench, Clips


def _size(picture: Path) -> str:
    show = ["-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"]
    return subprocess.run(
        ["ffprobe", "-v", "error", *show, picture], capture_output=True, text=True, check=True
    ).stdout.strip()


def _brightness(picture: Path) -> float:
    argv = ["ffmpeg", "-v", "error", "-i", str(picture), "-vf", "scale=8:8,format=gray", "-f", "rawvideo", "-"]
    return fmean(subprocess.run(argv, capture_output=True, check=True).stdout)


async def test_poster_thumbnails_and_storyboard(bench: Bench, clip: Clips) -> None:
    outputs, folder = await bench.do("thumbnails", clip("plain.mp4"))
    assert outputs.poster == "a/poster.jpg"
    assert outputs.thumbnails == tuple(f"a/thumb-{number:03d}.jpg" for number in range(1, 6))
    assert (outputs.storyboard, outputs.sprites) == ("a/storyboard.vtt", ("a/storyboard-001.jpg",))
    assert {path.name for path in folder.iterdir()} == {
        key.removeprefix("a/") for key in (outputs.poster, outputs.storyboard, *outputs.thumbnails, *outputs.sprites)
    }
    assert _size(folder / "poster.jpg") == "mjpeg,320,240"
    assert _size(folder / "storyboard-001.jpg") == "mjpeg,480,120"
    assert (folder / "storyboard.vtt").read_text().count("#xywh=") == 3


async def test_thumbnails_differ_although_there_is_one_keyframe(bench: Bench, clip: Clips) -> None:
    outputs, folder = await bench.do("thumbnails", clip("plain.mp4"))
    contents = {(folder / key.removeprefix("a/")).read_bytes() for key in outputs.thumbnails}
    assert len(contents) == 5


@pytest.mark.parametrize("name", ["dark-start.mp4", "flash.mp4"])
async def test_the_poster_is_not_black(bench: Bench, clip: Clips, name: str) -> None:
    _, folder = await bench.do("thumbnails", clip(name))
    assert _brightness(folder / "poster.jpg") > 30


@pytest.mark.parametrize("name", ["one-frame.mp4", "tiny.mkv", "slow.mp4"])
async def test_few_or_tiny_frames_are_enough(bench: Bench, clip: Clips, name: str) -> None:
    outputs, folder = await bench.do("thumbnails", clip(name))
    assert len(outputs.thumbnails) == 5
    assert (folder / "poster.jpg").stat().st_size


async def test_a_turned_video_has_upright_pictures(bench: Bench, clip: Clips) -> None:
    _, folder = await bench.do("thumbnails", clip("turned.mp4"))
    assert _size(folder / "poster.jpg") == "mjpeg,240,320"
