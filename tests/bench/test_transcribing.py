"""Transcription through kinolog against the same library called directly, in turn, on this machine."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from agents.transcribe import make
from processors.backends import model_folder
from processors.limits import Limits
from processors.speech import LocalSpeech
from processors.toolbox import make_toolbox
from processors.transcribe import Transcriber
from processors.work import Work
from schemas.audio import AudioOutputs
from streams.settings import Settings
from streams.transcription import BUNDLED

pytestmark = pytest.mark.bench

_RUNS = 3
_CLIPS, _MEASURED_CLIPS = 20, 2
_TEXT = "We choose to go to the moon in this decade, not because it is easy, but because it is hard. "

_DIRECT = """
import sys, time, wave
import numpy as np
from faster_whisper import WhisperModel
model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[2]))
def run():
    with wave.open(sys.argv[3]) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    segments, _ = model.transcribe(sound, vad_filter=True, condition_on_previous_text=False, word_timestamps=True,
                                   hallucination_silence_threshold=2.0)
    return list(segments)
if sys.argv[4] == "warm":
    run()
began = time.monotonic()
run()
print(time.monotonic() - began)
"""


def _speech(path: Path, repeats: int) -> tuple[Path, float]:
    """A WAV file as the step `audio` makes it, and its duration."""
    raw = path.with_suffix(".raw.wav")
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(raw), _TEXT * repeats], check=True, timeout=60)
    form = ["-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", "-flags", "+bitexact"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", str(raw), *form, str(path)], check=True, timeout=60)
    return path, (path.stat().st_size - 44) / 32_000


def _work(folder: Path, speech: Path, duration_s: float) -> Work:
    async def fetch(_key: str) -> Path:
        return speech

    audio = AudioOutputs(audio="a", speech="s", duration_s=duration_s, tracks=(0,), channels=1)
    inputs = {"audio": msgspec.to_builtins(audio)}
    return Work(source=speech, scratch=folder, output=folder, prefix="p", inputs=inputs, fetch=fetch)


def _direct_seconds(speech: Path, how: str) -> tuple[float, float]:
    """Seconds that transcribing took, and that its process took."""
    folder, threads = model_folder(BUNDLED.removeprefix("local:")), len(os.sched_getaffinity(0))
    began = time.monotonic()
    command = [sys.executable, "-c", _DIRECT, str(folder), str(threads), str(speech), how]
    done = subprocess.run(command, text=True, capture_output=True, check=True, timeout=280)
    return float(done.stdout), time.monotonic() - began


async def _close(transcriber: Transcriber) -> None:
    for backend in transcriber.chain.values():
        assert isinstance(backend, LocalSpeech)
        await backend.host.close()


async def test_the_real_time_factor_is_that_of_the_bare_library(tmp_path: Path) -> None:
    speech, duration_s = _speech(tmp_path / "long.wav", 15)
    transcriber = make(make_toolbox(Limits()), Settings())
    ours, direct = [], []
    await transcriber.process(_work(tmp_path, speech, duration_s))
    for _ in range(_RUNS):
        began = time.monotonic()
        await transcriber.process(_work(tmp_path, speech, duration_s))
        ours.append(time.monotonic() - began)
        direct.append(_direct_seconds(speech, "warm")[0])
    await _close(transcriber)
    ratio = statistics.median(ours) / statistics.median(direct)
    print(f"\ntranscribe: {duration_s:.0f} s of speech, real-time factor {statistics.median(ours) / duration_s:.3f},")
    print(f"  bare {statistics.median(direct) / duration_s:.3f}: {ratio:.3f} of its time {ours} {direct}")
    assert ratio <= 1.05


async def test_short_clips_through_a_warm_model_against_a_process_for_each(tmp_path: Path) -> None:
    speech, duration_s = _speech(tmp_path / "short.wav", 1)
    transcriber = make(make_toolbox(Limits()), Settings())
    began = time.monotonic()
    for _ in range(_CLIPS):
        await transcriber.process(_work(tmp_path, speech, duration_s))
    warm_s = time.monotonic() - began
    await _close(transcriber)
    cold_s = statistics.mean(_direct_seconds(speech, "cold")[1] for _ in range(_MEASURED_CLIPS)) * _CLIPS
    print(
        f"\ntranscribe: {_CLIPS} clips of {duration_s:.0f} s, loading once: {warm_s:.1f} s; each alone: {cold_s:.0f} s"
    )
    assert cold_s / warm_s >= 3
