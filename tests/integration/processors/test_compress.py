"""A compressed film shows and sounds as its source does, is smaller, and plays while it loads."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from processors.errors import MediaTooLarge
from processors.media.loudness import read_loudness
from tests.integration.processors.conftest import Bench, Clips


async def _compressed(bench: Bench, source: Path, **params: Any) -> tuple[Any, Path]:
    work = bench.work(source, {"probe": await bench.probe_json(source)}, params=params)
    outputs: Any = await bench.processor("compress").process(work)
    assert outputs.video == "a/compressed.mp4"
    assert [path.name for path in work.output.iterdir()] == ["compressed.mp4"]
    return outputs, work.output / "compressed.mp4"


def _ffmpeg(*arguments: object) -> bytes:
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-xerror", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout


def _described(path: Path, entries: str) -> list[str]:
    argv = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def _grey(path: Path, at_s: float, size: str) -> bytes:
    filters = f"scale={size},format=gbrp,format=gray"
    return _ffmpeg("-i", path, "-ss", at_s, "-frames:v", 1, "-vf", filters, "-f", "rawvideo", "-")


def _difference(one: bytes, other: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def _flash_s(path: Path) -> float:
    """When the picture turns white."""
    frames = _ffmpeg("-i", path, "-vf", "fps=100,scale=1:1,format=gray", "-f", "rawvideo", "-")
    return next(at for at, grey in enumerate(frames) if grey > 128) / 100


def _beep_s(path: Path) -> float:
    """When the sound begins."""
    samples = _ffmpeg("-i", path, "-ac", 1, "-ar", 8000, "-f", "u8", "-")
    return next(at for at, sample in enumerate(samples) if abs(sample - 128) > 8) / 8000


def _loudness(path: Path) -> float:
    argv = ["ffmpeg", "-nostdin", "-i", str(path), "-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stderr
    return read_loudness(text).lufs


def _boxes(path: Path) -> list[bytes]:
    content, at, kinds = path.read_bytes(), 0, []
    while at < len(content):
        kinds.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4])
    return kinds


async def test_a_film_of_60_pictures_a_second_is_smaller_and_shows_and_sounds_the_same(
    bench: Bench, clip: Clips
) -> None:
    source = clip("beats.mp4")
    outputs, path = await _compressed(bench, source, height_px=360)
    assert (outputs.width_px, outputs.height_px, outputs.fps) == (640, 360, 30.0)
    assert outputs.size_bytes == path.stat().st_size < outputs.source_bytes == source.stat().st_size
    assert outputs.warnings == ()
    kinds = _boxes(path)
    assert kinds.index(b"moov") < kinds.index(b"mdat"), "it would not play while it loads"
    assert _described(path, "stream=codec_name,profile,pix_fmt") == ["h264,High,yuv420p", "aac,LC"]
    assert float(_described(path, "format=duration")[0]) == pytest.approx(4.0, abs=0.1)
    assert _flash_s(path) == pytest.approx(2.0, abs=0.04)
    assert _beep_s(path) == pytest.approx(_beep_s(source), abs=0.02)
    assert _loudness(path) == pytest.approx(_loudness(source), abs=1.0)
    for at_s in (1.0, 2.25, 3.5):
        assert _difference(_grey(path, at_s, "32x18"), _grey(source, at_s, "32x18")) < 8


async def test_a_film_of_a_phone_stands_upright(bench: Bench, clip: Clips) -> None:
    source = clip("turned.mp4")
    outputs, path = await _compressed(bench, source)
    assert (outputs.width_px, outputs.height_px) == (240, 320)
    assert _difference(_grey(path, 1.0, "24x32"), _grey(source, 1.0, "24x32")) < 8


async def test_a_large_film_is_fitted_into_the_box(bench: Bench, clip: Clips) -> None:
    outputs, path = await _compressed(bench, clip("phone.mp4"), height_px=144)
    assert (outputs.width_px, outputs.height_px) == (144, 256)
    assert _described(path, "stream=width,height")[0].startswith("144,256")


async def test_a_silent_film_of_odd_size_has_no_sound_and_an_even_size(bench: Bench, clip: Clips) -> None:
    source = clip("odd.mp4")
    outputs, path = await _compressed(bench, source)
    assert (outputs.width_px, outputs.height_px) == (320, 240)
    assert _described(path, "stream=codec_type") == ["video"]
    assert _difference(_grey(path, 1.0, "32x24"), _grey(source, 1.0, "32x24")) < 8


async def test_sound_that_begins_late_stays_in_step(bench: Bench, clip: Clips) -> None:
    _, path = await _compressed(bench, clip("late-sound.mp4"))
    assert _beep_s(path) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("name", ["plain.mkv", "one-frame.mp4", "short.mp4", "fields.ts", "hdr.mp4", "sound.mp3"])
async def test_whatever_goes_in_plays_through(bench: Bench, clip: Clips, name: str) -> None:
    outputs, path = await _compressed(bench, clip(name))
    _ffmpeg("-i", path, "-f", "null", "-")
    assert float(_described(path, "format=duration")[0]) == pytest.approx(outputs.duration_s, abs=0.15)


async def test_a_file_fits_into_the_size_that_was_asked_for(bench: Bench, clip: Clips) -> None:
    _, path = await _compressed(bench, clip("beats.mp4"), max_bytes=100_000)
    assert 30_000 < path.stat().st_size <= 100_000
    assert _flash_s(path) == pytest.approx(2.0, abs=0.04)


async def test_a_size_that_no_film_fits_into_is_refused_with_what_is_possible(bench: Bench, clip: Clips) -> None:
    with pytest.raises(MediaTooLarge, match="are the least"):
        await _compressed(bench, clip("beats.mp4"), max_bytes=16 * 1024)


async def test_a_file_that_cannot_be_made_smaller_says_so(bench: Bench, clip: Clips) -> None:
    outputs, path = await _compressed(bench, clip("squeezed.mp4"))
    smaller = outputs.size_bytes < outputs.source_bytes
    assert smaller or [one.code for one in outputs.warnings] == ["not-smaller"]
    _ffmpeg("-i", path, "-f", "null", "-")


async def test_progress_rises_to_one(bench: Bench, clip: Clips) -> None:
    told: list[float] = []
    await bench.do("compress", clip("plain.mp4"), lambda progress, _: told.append(progress))
    assert told == sorted(told)
    assert told[-1] == 1.0
