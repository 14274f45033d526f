"""The step `transcribe` with a real, small model: words, times, and everything that can come between."""

import asyncio
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.transcribe import make
from processors.contract import Work
from processors.errors import GpuUnavailable, ModelLost, ModelOutgrown, ModelUnavailable, Skipped
from processors.models import devices
from processors.models.devices import CPU
from processors.models.host import ModelHost, resident_bytes
from processors.models.speech import LocalSpeech
from processors.tools.runner import Runner
from processors.transcribe import Transcriber
from schemas.transcribe import Caption, TranscribeOutputs, Transcript
from streams.model_backends.transcription import BUNDLED
from tests.conftest import MakeSettings, SampleMedia
from tests.integration.processors.conftest import Bench, Clips, say

# Repeated words would make the model decode them again and again: it takes them for its own stutter.
_LONG = """Four score and seven years ago our fathers brought forth on this continent a new nation, conceived in
liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great
civil war, testing whether that nation, or any nation so conceived and so dedicated, can long endure. We
are met on a great battlefield of that war. We have come to dedicate a portion of that field, as a final
resting place for those who here gave their lives that that nation might live. It is altogether fitting
and proper that we should do this. The world will little note, nor long remember what we say here, but it
can never forget what they did here."""


@pytest.fixture(scope="module", autouse=True)
def offline() -> None:
    """Nothing is fetched: the model is in an installed package."""
    os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture
async def transcriber(make_settings: MakeSettings, runner: Runner) -> AsyncIterator[Transcriber]:
    """With tiny.en; its process is ended in the end."""
    made = make(runner, make_settings())
    yield made
    await host_of(made).close()


def host_of(transcriber: Transcriber) -> ModelHost:
    backend = transcriber.chain[BUNDLED]
    assert isinstance(backend, LocalSpeech)
    return backend.model.hosts[CPU]


async def work_on(bench: Bench, source: Path, **more: Any) -> Work:
    """A transcription of what the step `audio` made of `source`."""
    outputs, folder = await bench.do("audio", source)

    async def fetch(key: str) -> Path:
        return folder / Path(key).name

    return bench.work(source, {"audio": msgspec.to_builtins(outputs)}, fetch=fetch, **more)


async def test_real_speech_becomes_captions_at_the_right_moments(
    bench: Bench, clip: Clips, sample_media: SampleMedia, transcriber: Transcriber
) -> None:
    real = sample_media("jfk.flac")
    source = real or clip("speech.wav")
    shown: list[Caption] = []
    told: list[float] = []
    work = await work_on(bench, source, on_caption=shown.append, report=lambda done, _: told.append(done))
    outputs = await transcriber.process(work)
    transcript = msgspec.json.decode((work.output / "transcript.json").read_bytes(), type=Transcript)
    text = (work.output / "transcript.txt").read_text().lower()
    words = [word for segment in transcript.segments for word in segment.words]
    # The small model mishears the "not" of a synthetic voice.
    assert f"{'ask not ' if real else ''}what your country can do for you" in re.sub(
        r"[^a-z ]", "", text.replace("\n", " ")
    )
    assert told == sorted(told) and told[-1] == 1.0
    assert [caption.text for caption in shown] == [segment.text for segment in transcript.segments]
    assert transcript.language == "en" and transcript.model.weights_sha256 and transcript.model.backend == BUNDLED
    assert outputs.segments == len(transcript.segments)
    assert [word.start_ms for word in words] == sorted(word.start_ms for word in words)
    spoken = stretches_of_speech(source)
    cues = [tuple(map(_seconds, times)) for times in _TIMES.findall((work.output / "captions.vtt").read_text())]
    assert abs(cues[0][0] - spoken[0][0]) <= 0.5
    for start_s, end_s in cues:  # each begins with a stretch of speech, and none stands on when it is silent
        assert min(abs(start_s - begin_s) for begin_s, _ in spoken) <= 0.5
        assert end_s <= max(stop_s for begin_s, stop_s in spoken if begin_s < end_s) + 0.5


_TIMES = re.compile(r"^(\S+) --> (\S+)$", re.MULTILINE)


def stretches_of_speech(path: Path) -> list[tuple[float, float]]:
    """Begin and end of what is between silences, in seconds, by ffmpeg's measure."""
    argv: list[str | Path] = [
        "ffmpeg",
        "-nostdin",
        "-hide_banner",
        "-nostats",
        "-i",
        path,
        "-af",
        "silencedetect=n=-28dB:d=0.15",
    ]
    said = subprocess.run([*argv, "-f", "null", "-"], capture_output=True, text=True, check=True).stderr
    silent = [[float(at) for at in re.findall(rf"silence_{edge}: (\S+)", said)] for edge in ("start", "end")]
    found = zip([0.0, *silent[1]], [*silent[0], math.inf], strict=False)
    return [(begin_s, stop_s) for begin_s, stop_s in found if stop_s > begin_s]


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


async def test_cues_stand_where_speech_was_put(bench: Bench, transcriber: Transcriber, tmp_path: Path) -> None:
    """Speech between 4 s of silence: it must not begin sooner, nor end much later."""
    spoken, source = tmp_path / "spoken.wav", tmp_path / "late.wav"
    say(spoken, "My fellow Americans, ask not what your country can do for you.")
    run = await asyncio.create_subprocess_exec(
        *("ffmpeg", "-v", "error", "-i", spoken, "-af", "adelay=4000:all=1,apad=pad_dur=3", source)
    )
    assert await run.wait() == 0
    work = await work_on(bench, source)
    await transcriber.process(work)
    transcript = msgspec.json.decode((work.output / "transcript.json").read_bytes(), type=Transcript)
    assert abs(transcript.segments[0].start_ms - 4000) <= 500
    assert transcript.segments[-1].end_ms <= transcript.duration_ms - 2500


async def test_the_same_speech_twice_gives_the_same_and_loads_the_model_once(
    bench: Bench, clip: Clips, transcriber: Transcriber
) -> None:
    works = [await work_on(bench, clip("speech.wav")) for _ in range(2)]
    one = await transcriber.process(works[0])
    pid = host_of(transcriber).pid
    assert await transcriber.process(works[1]) == one
    assert host_of(transcriber).pid == pid
    for name in ("captions.vtt", "captions.srt", "transcript.json", "transcript.txt"):
        assert (works[0].output / name).read_bytes() == (works[1].output / name).read_bytes()


async def test_a_tone_is_no_speech(bench: Bench, clip: Clips, transcriber: Transcriber) -> None:
    with pytest.raises(Skipped) as skipped:
        await transcriber.process(await work_on(bench, clip("brief.wav")))
    assert skipped.value.reason == "no-speech"


@pytest.fixture(scope="module")
def long_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of speech."""
    path = tmp_path_factory.mktemp("speech") / "long.wav"
    say(path, _LONG)
    return path


async def test_cancelling_in_the_middle_frees_the_cpu(
    bench: Bench, long_speech: Path, transcriber: Transcriber
) -> None:
    began = asyncio.Event()
    work = await work_on(bench, long_speech, on_caption=lambda _: began.set())
    running = asyncio.create_task(transcriber.process(work))
    await asyncio.wait_for(began.wait(), 60)
    pid = host_of(transcriber).pid
    at = time.monotonic()
    running.cancel()
    await asyncio.wait([running])
    assert time.monotonic() - at < 2
    assert running.cancelled()
    assert resident_bytes(pid) == 0


async def test_a_killed_model_fails_the_attempt_and_serves_the_next(
    bench: Bench, clip: Clips, long_speech: Path, transcriber: Transcriber
) -> None:
    began = asyncio.Event()
    work = await work_on(bench, long_speech, on_caption=lambda _: began.set())
    running = asyncio.create_task(transcriber.process(work))
    await asyncio.wait_for(began.wait(), 60)
    pid = host_of(transcriber).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ModelLost) as lost:
        await running
    assert lost.value.retriable
    assert (await transcriber.process(await work_on(bench, clip("speech.wav")))).segments > 0


async def test_a_memory_bound_ends_that_attempt_only(
    bench: Bench, clip: Clips, make_settings: MakeSettings, runner: Runner
) -> None:
    narrow = make(runner, make_settings(KINOLOG_TRANSCRIBE__MEMORY_BYTES=str(40 * 1024**2)))
    with pytest.raises(ModelOutgrown) as outgrown:
        await narrow.process(await work_on(bench, clip("speech.wav")))
    assert outgrown.value.retriable
    assert host_of(narrow).pid is None


async def test_a_model_that_is_not_there_is_said_so_and_the_next_backend_serves(
    bench: Bench, clip: Clips, make_settings: MakeSettings, runner: Runner, tmp_path: Path
) -> None:
    empty = tmp_path / "model"
    empty.mkdir()
    alone = make(runner, make_settings(KINOLOG_TRANSCRIBE__BACKENDS=f"local:{empty}"))
    with pytest.raises(ModelUnavailable):
        await alone.process(await work_on(bench, clip("speech.wav")))
    chain = make(runner, make_settings(KINOLOG_TRANSCRIBE__BACKENDS=f'["local:{empty}", "{BUNDLED}"]'))
    outputs = await chain.process(await work_on(bench, clip("speech.wav")))
    assert isinstance(outputs, TranscribeOutputs)
    assert outputs.model.backend == BUNDLED
    await host_of(chain).close()


async def test_where_the_gpu_cannot_be_used_the_cpu_transcribes(
    bench: Bench, clip: Clips, make_settings: MakeSettings, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reports: OpenNMT/CTranslate2#1933, meizhong986/WhisperJAV#107. This machine seems to have one, and has none.
    monkeypatch.setattr(devices, "has_gpu", lambda: True)
    made = make(runner, make_settings(KINOLOG_TRANSCRIBE__COMPUTE_TYPE="float16"))  # which no CPU has
    released: list[bool] = []
    work = await work_on(bench, clip("speech.wav"), release_cpus=lambda: released.append(True))
    outputs = await made.process(work)
    assert isinstance(outputs, TranscribeOutputs)
    assert (outputs.model.device, outputs.model.compute_type) == ("cpu", "int8_float32")
    assert released == [True], "the GPU was to compute"
    again = await work_on(bench, clip("speech.wav"), release_cpus=lambda: released.append(True))
    await made.process(again)
    assert released == [True], "the CPUs compute, until the GPU is tried again"
    await host_of(made).close()


async def test_a_gpu_that_must_be_there_and_is_not_is_named(
    bench: Bench, clip: Clips, make_settings: MakeSettings, runner: Runner
) -> None:
    made = make(runner, make_settings(KINOLOG_TRANSCRIBE__DEVICE="cuda"))
    assert made.is_able
    with pytest.raises(GpuUnavailable) as caught:
        await made.process(await work_on(bench, clip("speech.wav")))
    assert caught.value.retriable
    assert "finds no GPU" in str(caught.value.detail)
    assert not made.is_able
