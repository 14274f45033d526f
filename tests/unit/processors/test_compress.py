"""How much a file is compressed, and the ffmpeg commands, as text."""

import shlex
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processors.compress import compress_args, join_args
from processors.errors import NothingToShow, OutputIncomplete, OutputInvalid
from processors.media.compression import Plan, plan
from processors.media.progressive_mp4 import ExpectedFile, validate_layout, validate_tracks
from schemas.compress import CompressParams
from schemas.probe import AudioTrack, ProbeOutputs, VideoTrack

_VIDEO = VideoTrack(
    index=0,
    codec="h264",
    coded_width_px=1920,
    coded_height_px=1080,
    width_px=1920,
    height_px=1080,
    fps=60,
    frame_rate="60/1",
    color_space="bt709",
    duration_s=10.0,
)
_AUDIO = AudioTrack(index=1, codec="aac", channels=2, sample_rate_hz=44100, duration_s=10.0)
_MEDIA = ProbeOutputs(
    demuxer="mov", container="MP4", size_bytes=10_000_000, duration_s=10.0, video=_VIDEO, audio=_AUDIO
)


def _media(**changes: Any) -> ProbeOutputs:
    return msgspec.structs.replace(_MEDIA, **changes)


def _planned(media: ProbeOutputs = _MEDIA, **params: Any) -> Plan:
    return plan(media, CompressParams(**params))


def test_a_large_film_is_fitted_and_its_rate_halved() -> None:
    planned = _planned()
    assert planned.size is not None
    assert (planned.size.width_px, planned.size.height_px, planned.rate) == (1280, 720, Fraction(30))
    assert (planned.video_bps, planned.audio_bps) == (2_764_800, 128_000)


def test_a_small_source_bounds_the_bit_rates() -> None:
    planned = _planned(_media(size_bytes=500_000))
    assert planned.video_bps + planned.audio_bps < 500_000 * 8 / 10
    assert planned.audio_bps <= 500_000 * 8 / 10 / 4
    assert _planned(max_bytes=300_000).video_bps < 300_000 * 8 / 10


def test_bit_rates_stay_above_what_can_be_recognised() -> None:
    planned = _planned(_media(size_bytes=1_000))
    assert (planned.video_bps, planned.audio_bps) == (48_000, 32_000)
    assert planned.smaller(0.1) == planned


def test_sound_alone_and_pictures_alone_have_a_plan_and_nothing_has_none() -> None:
    assert _planned(_media(video=None)).size is None
    assert _planned(_media(audio=None)).audio_bps == 0
    with pytest.raises(NothingToShow):
        _planned(_media(video=None, audio=None))


def test_the_command_encodes_each_track_once() -> None:
    args = compress_args(Path("/in/source"), _MEDIA, _planned(), CompressParams(), cpus=2, max_pixels=1000)
    text = shlex.join(args)
    video = (
        "-f nut -bufsize 2764800 -c:v libx264 -crf 26.0 -force_key_frames 'expr:gte(t,n_forced*2)' -map_chapters -1 "
        "-map_metadata -1 -maxrate 2764800 -preset veryfast -profile:v high -t 10.500000 -threads 2 picture.nut"
    )
    filters = "aresample=48000,aformat=sample_fmts=fltp:channel_layouts=stereo"
    sound = f"-f mp4 -aac_pns 0 -aac_tns 0 -af {filters} -b:a 128000 -c:a aac"
    assert video in text and sound in text
    assert "fps=fps=30/1:start_time=0" in text


@pytest.mark.parametrize("start_s, picture, sound", [(0.01, "0.010000", "0.000000"), (0.03, "0.000000", "0.003333")])
def test_the_track_that_begins_later_is_delayed(start_s: float, picture: str, sound: str) -> None:
    planned = _planned(_media(video=msgspec.structs.replace(_VIDEO, start_s=start_s)))
    text = shlex.join(join_args(Path("/in"), planned, has_sound=True))
    delays = [word for before, word in zip(text.split(), text.split()[1:], strict=False) if before == "-itsoffset"]
    assert delays == [picture, sound]
    assert "-c copy" in text and "-movflags +faststart" in text and text.endswith("compressed.mp4")


_EXPECTED = ExpectedFile(duration_s=10.0, picture=(1280, 720), frame_s=1 / 30, phase_s=0.0, has_sound=True)
_TRACKS: list[dict[str, Any]] = [
    {"codec_type": "video", "codec_name": "h264", "width": 1280, "height": 720, "duration": "10.0", "start_time": "0"},
    {"codec_type": "audio", "codec_name": "aac", "duration": "10.02", "start_time": "0"},
]


@pytest.mark.parametrize(
    "track, wrong",
    [
        (0, {"codec_name": "hevc"}),
        (0, {"width": 640}),
        (0, {"side_data_list": [{"side_data_type": "Display Matrix", "rotation": -90}]}),
        (0, {"duration": "9.5"}),
        (0, {"duration": "10.3"}),
        (1, {"codec_type": "data"}),
        (1, {"duration": "8.0"}),
        (1, {"start_time": "0.2"}),
    ],
)
def test_a_file_that_is_not_as_planned_is_not_published(track: int, wrong: dict[str, Any]) -> None:
    validate_tracks({"streams": _TRACKS}, _EXPECTED)
    tracks = [one | wrong if number == track else one for number, one in enumerate(_TRACKS)]
    with pytest.raises(OutputInvalid):
        validate_tracks({"streams": tracks}, _EXPECTED)


def _box(kind: bytes, size: int = 8) -> bytes:
    return size.to_bytes(4) + kind + bytes(size - 8)


def test_a_file_whose_index_comes_last_or_is_missing_is_not_published(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(_box(b"ftyp") + _box(b"moov", 20) + _box(b"mdat", 30))
    validate_layout(path)
    path.write_bytes(_box(b"ftyp") + _box(b"mdat", 30) + _box(b"moov", 20))
    with pytest.raises(OutputInvalid):
        validate_layout(path)
    for content in (b"", _box(b"ftyp"), _box(b"moov") + _box(b"mdat", 30)[:20], _box(b"moov") + b"cut"):
        path.write_bytes(content)
        with pytest.raises(OutputIncomplete):
            validate_layout(path)
