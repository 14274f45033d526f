"""The step `audio` on real sound: as loud as wanted, as long as the media, from the right tracks."""

import re
import subprocess
import wave
from pathlib import Path

import pytest

from processors.errors import Skipped
from tests.conftest import SampleMedia
from tests.integration.processors.conftest import Bench, Clips


def ebur128(path: Path) -> tuple[float, float]:
    """Integrated loudness and true peak, by ffmpeg's meter."""
    argv: list[str | Path] = [
        "ffmpeg",
        "-nostdin",
        "-hide_banner",
        "-i",
        path,
        "-af",
        "ebur128=peak=true",
        "-f",
        "null",
        "-",
    ]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    return float(re.findall(r"I:\s+(\S+) LUFS", said)[-1]), float(re.findall(r"Peak:\s+(\S+) dBFS", said)[-1])


def duration_s(path: Path) -> float:
    argv: list[str | Path] = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path]
    return float(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def spectrum_has(path: Path, hz: int) -> bool:
    """Whether a tone of that frequency is plainly there."""
    band = f"bandpass=f={hz}:width_type=h:w=20,astats=metadata=1:reset=0"
    argv: list[str | Path] = ["ffmpeg", "-nostdin", "-hide_banner", "-i", path, "-af", band, "-f", "null", "-"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    return float(re.findall(r"RMS level dB: (\S+)", said)[-1]) > -40


@pytest.mark.parametrize(
    "name", ["speech.wav", "soft.flac", "loud.flac", "brief.wav", "plain.mp4", "long-sound.avi", "surround.mka"]
)
async def test_sound_comes_out_as_loud_and_as_long_as_it_should(bench: Bench, clip: Clips, name: str) -> None:
    outputs, folder = await bench.do("audio", clip(name))
    media = await bench.probe(clip(name))
    lufs, peak_dbtp = ebur128(folder / "audio.m4a")
    assert abs(lufs - -16) <= 1
    assert peak_dbtp <= -0.9
    assert abs(outputs.lufs - lufs) <= 0.2
    assert abs(duration_s(folder / "audio.m4a") - media.duration_s) <= 0.05
    with wave.open(str(folder / "speech.wav")) as speech:
        assert (speech.getframerate(), speech.getnchannels(), speech.getsampwidth()) == (16_000, 1, 2)
        assert abs(speech.getnframes() / 16_000 - media.duration_s) <= 0.05


@pytest.mark.parametrize("name, reason", [("turned-silent.mp4", "silence"), ("odd.mp4", "no-audio-track")])
async def test_where_there_is_nothing_to_hear_the_step_is_skipped(
    bench: Bench, clip: Clips, name: str, reason: str
) -> None:
    with pytest.raises(Skipped) as skipped:
        await bench.do("audio", clip(name))
    assert skipped.value.reason == reason


async def test_microphones_on_tracks_of_their_own_are_all_heard(bench: Bench, clip: Clips) -> None:
    outputs, folder = await bench.do("audio", clip("microphones.mka"))
    assert len(outputs.tracks) == 2
    assert spectrum_has(folder / "audio.m4a", 500) and spectrum_has(folder / "audio.m4a", 2000)


async def test_a_preferred_language_is_taken_before_the_default_track(bench: Bench, clip: Clips) -> None:
    source = clip("languages.mka")
    inputs = {"probe": {**(await bench.probe_json(source))}}
    work = bench.work(source, inputs, params={"languages": ["fr", "de", "ger"]})
    outputs = await bench.processor("audio").process(work)
    assert getattr(outputs, "language", None) == "ger"
    assert spectrum_has(work.output / "audio.m4a", 2000)
    assert not spectrum_has(work.output / "audio.m4a", 500)


async def test_late_sound_stays_where_it_belongs(bench: Bench, clip: Clips) -> None:
    _, folder = await bench.do("audio", clip("late-sound.mp4"))
    with wave.open(str(folder / "speech.wav")) as speech:
        frames = speech.readframes(speech.getnframes())
    samples = memoryview(frames).cast("h")
    first = next(at for at, sample in enumerate(samples) if abs(sample) > 1000)
    assert 0.95 <= first / 16_000 <= 1.1


@pytest.mark.parametrize("name", ["jfk.flac", "bigbuckbunny.mp4", "bikes.mp4"])
async def test_real_sound_keeps_its_loudness_and_length_in_tolerance(
    bench: Bench, sample_media: SampleMedia, clip: Clips, name: str
) -> None:
    source = sample_media(name) or clip("speech.wav")
    media = await bench.probe(source)
    if media.audio is None:
        source = clip("speech.wav")
    _, folder = await bench.do("audio", source)
    assert abs(ebur128(folder / "audio.m4a")[0] - -16) <= 1
    assert abs(duration_s(folder / "audio.m4a") - (await bench.probe(source)).duration_s) <= 0.05
