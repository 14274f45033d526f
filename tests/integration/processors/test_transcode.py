"""Whatever goes in, every rendition plays through, and picture and sound begin together."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from processors.media.hls import read_media_playlist
from tests.integration.processors.conftest import Bench, Clips


def _decode_errors(playlist: Path) -> str:
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-xerror", "-i", str(playlist), "-f", "null", "-"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stderr


def _first_shown_s(playlist: Path) -> float:
    argv = ["ffprobe", "-v", "error", "-read_intervals", "%+#6", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    answer = subprocess.run([*argv, playlist], capture_output=True, text=True, timeout=60, check=True).stdout
    return min(float(line.strip(",")) for line in answer.split())


def _shown(playlist: Path) -> str:
    show = ["-show_entries", "stream=width,height,pix_fmt,profile,sample_aspect_ratio,r_frame_rate", "-of", "csv=p=0"]
    answer = subprocess.run(["ffprobe", "-v", "error", *show, playlist], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


@pytest.mark.parametrize(
    "name, renditions, duration_s",
    [
        ("plain.mp4", {"240p": (320, 240), "audio": None}, 3.0),
        ("turned.mp4", {"240p": (240, 320), "audio": None}, 3.0),
        ("odd.mp4", {"240p": (320, 240)}, 2.0),
        ("one-frame.mp4", {"240p": (320, 240)}, 0.04),
        ("tiny.mkv", {"2p": (2, 2)}, 0.4),
        ("short.mp4", {"240p": (320, 240), "audio": None}, 0.2),
        ("slow.mp4", {"240p": (320, 240)}, 4.0),
        ("uneven.mp4", {"240p": (320, 240)}, 3.0),
        ("late-sound.mp4", {"240p": (320, 240), "audio": None}, 4.0),
        ("long-sound.avi", {"240p": (320, 240), "audio": None}, 4.0),
        ("hdr.mp4", {"240p": (320, 240)}, 1.0),
        ("fields.ts", {"576p": (1024, 576), "360p": (640, 360)}, 1.0),
        ("vp8.webm", {"240p": (320, 240), "audio": None}, 3.0),
        ("sound.mp3", {"audio": None}, 3.0),
    ],
)
async def test_every_rendition_plays_through(
    bench: Bench, clip: Clips, name: str, renditions: dict[str, Any], duration_s: float
) -> None:
    outputs, folder = await bench.do("transcode", clip(name))
    found = {one.name: one.width_px and (one.width_px, one.height_px) for one in outputs.renditions}
    assert found == renditions
    assert outputs.duration_s == pytest.approx(duration_s, abs=0.12)
    playlists = {one: folder / "hls" / one / "index.m3u8" for one in renditions}
    assert {one: _decode_errors(playlist) for one, playlist in playlists.items()} == dict.fromkeys(renditions, "")
    starts = [_first_shown_s(playlist) for playlist in playlists.values()]
    assert starts == pytest.approx([outputs.start_s] * len(starts), abs=0.025)
    for one, size in renditions.items():
        if size:
            assert _shown(playlists[one]).startswith(f"High,{size[0]},{size[1]},1:1,yuv420p,")


async def test_the_master_lists_what_was_written(bench: Bench, clip: Clips) -> None:
    outputs, folder = await bench.do("transcode", clip("plain.mp4"))
    assert outputs.master == "a/hls/master.m3u8"
    master = (folder / "hls" / "master.m3u8").read_text()
    assert re.search(
        r'BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+,CODECS="avc1\.64\w{4},mp4a\.40\.2",RESOLUTION=320x240', master
    )
    for uri in re.findall(r"^[^#\n].*$|(?<=URI=\")[^\"]+", master, re.MULTILINE):
        playlist = folder / "hls" / uri
        media = read_media_playlist(playlist.read_text())
        names = {segment.uri for segment in media.segments} | {media.init_uri, playlist.name}
        assert {path.name for path in playlist.parent.iterdir()} == names


async def test_progress_rises_to_one(bench: Bench, clip: Clips) -> None:
    told: list[float] = []
    await bench.do("transcode", clip("plain.mp4"), lambda progress, _: told.append(progress))
    assert told == sorted(told)
    assert told[-1] == 1.0


async def test_a_turned_picture_stands_upright(bench: Bench, clip: Clips) -> None:
    """The counter of testsrc2 is bright in one corner: the players' own turn and ours must agree."""
    _, folder = await bench.do("transcode", clip("turned.mp4"))
    ours = _grey(folder / "hls" / "240p" / "index.m3u8")
    theirs = _grey(clip("turned.mp4"))
    difference = sum(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / len(ours)
    assert difference < 8


def _grey(source: Path) -> bytes:
    filters = ["-frames:v", "1", "-vf", "scale=24:32,format=gbrp,format=gray", "-f", "rawvideo", "-"]
    return subprocess.run(["ffmpeg", "-v", "error", "-i", source, *filters], capture_output=True, check=True).stdout


async def test_late_sound_is_silence_first(bench: Bench, clip: Clips) -> None:
    _, folder = await bench.do("transcode", clip("late-sound.mp4"))
    argv = ["ffmpeg", "-v", "error", "-i", str(folder / "hls" / "audio" / "index.m3u8"), "-ac", "1", "-ar", "1000"]
    samples = subprocess.run([*argv, "-f", "u8", "-"], capture_output=True, check=True).stdout
    loud = [at for at, sample in enumerate(samples) if abs(sample - 128) > 4]
    assert 0.95 <= loud[0] / 1000 <= 1.1
