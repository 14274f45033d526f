"""What a model said, in our terms; and which of it is not to be believed."""

import tracemalloc
import wave
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents import transcribe
from processors.contract import Work
from processors.errors import EndpointAsleep, EndpointRefused, ModelLost, OutOfCapacity, Skipped
from processors.models.backends import Endpoint, first_success, model_folder, parse_chain
from processors.models.speech import RATE_HZ, RemoteSpeech, Speech, segment_of
from processors.models.whisper import is_hallucination
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from schemas.audio import AudioOutputs
from streams.model_backends import transcription
from streams.settings import SettingsError
from tests.conftest import MakeSettings


def told(*words: tuple[str, float, float]) -> dict[str, Any]:
    spoken = [{"text": text, "start_s": start, "end_s": end, "confidence": 0.98765} for text, start, end in words]
    return {"start_s": 0.0, "end_s": 9.0, "text": " x ", "logprob": -0.25, "no_speech": 0.01, "words": spoken}


def test_silence_that_was_counted_into_a_word_is_taken_off_it() -> None:
    """Kennedy pauses before "ask"; Whisper lets the word begin where the one before it ends."""
    found = segment_of(0, told((" Americans", 1.76, 2.26), (" ask", 2.26, 3.88), (" not", 3.88, 4.3)))
    assert [(word.text, word.start_ms, word.end_ms) for word in found.words] == [
        ("Americans", 1760, 2260),
        ("ask", 3360, 3880),
        ("not", 3880, 4300),
    ]
    assert (found.start_ms, found.end_ms) == (1760, 4300)
    assert found.confidence == 0.779


def test_only_what_is_both_unlikely_speech_and_unsure_is_dropped() -> None:
    assert is_hallucination(0.9, -1.2)
    assert not is_hallucination(0.9, -0.2)
    assert not is_hallucination(0.1, -1.2)


@pytest.mark.parametrize("text", ["", "a,b", "ftp://x", "local:", "tiny"])
def test_a_backend_that_is_none_is_refused_by_its_setting(make_settings: MakeSettings, text: str) -> None:
    if not text:
        assert parse_chain(text) == ()
        return
    with pytest.raises(SettingsError, match="KINOLOG_TRANSCRIBE__BACKENDS"):
        transcribe.make(Runner(Limits()), make_settings(KINOLOG_TRANSCRIBE__BACKENDS=text))


def test_a_chain_keeps_its_order() -> None:
    chain = parse_chain("https://a.example/x, local:/models/small,local:tiny")
    assert [(backend.model, backend.url) for backend in chain] == [
        (None, "https://a.example/x"),
        ("/models/small", None),
        ("tiny", None),
    ]


def test_a_models_name_may_be_a_folder_of_an_installed_package(tmp_path: Path) -> None:
    assert model_folder(str(tmp_path)) == tmp_path
    assert model_folder("processors") is not None
    assert model_folder("no_such_package/model") is None
    assert model_folder("../outside") is None


@pytest.mark.parametrize(
    "library, reason", [("a_library_that_is_not_there", "not-installed"), ("processors", "no-model")]
)
async def test_without_library_or_model_the_step_is_skipped_with_a_hint(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: str, reason: str
) -> None:
    monkeypatch.setattr(transcription, "LIBRARY", library)
    monkeypatch.setattr(transcription, "BUNDLED", "local:no_such_package/model")
    made = transcribe.make(Runner(Limits()), make_settings())
    audio = AudioOutputs(audio="a", speech="s", duration_s=1.0, tracks=(0,), channels=1)
    inputs = {"audio": msgspec.to_builtins(audio)}
    with pytest.raises(Skipped) as skipped:
        await made.process(Work(source=tmp_path, scratch=tmp_path, output=tmp_path, prefix="p", inputs=inputs))
    assert skipped.value.reason == reason
    assert "KINOLOG_TRANSCRIBE__BACKENDS" in (skipped.value.hint or "")


def raising(error: Exception) -> Any:
    async def attempt() -> str:
        raise error

    return attempt


async def serving() -> str:
    return "text"


async def test_the_next_backend_is_asked_when_one_does_not_serve() -> None:
    tries = {"a": raising(EndpointRefused("No.")), "b": raising(ModelLost("Gone.")), "c": serving}
    assert await first_success(tries, asleep_left=3) == ("c", "text")


async def test_when_nobody_serves_the_error_that_may_go_away_is_told() -> None:
    with pytest.raises(ModelLost):
        await first_success({"a": raising(ModelLost("x")), "b": raising(EndpointRefused("y"))}, asleep_left=0)
    with pytest.raises(EndpointAsleep):
        await first_success({"a": raising(EndpointAsleep("x")), "b": serving}, asleep_left=1)
    with pytest.raises(OutOfCapacity):
        await first_success({"a": raising(OutOfCapacity("No disk.")), "b": serving}, asleep_left=1)


class _Echo(Endpoint):
    """Transcribes every chunk as one word."""

    async def request(self, body: Any) -> Any:
        assert body["inputs"]
        return {"text": "word"}


async def test_hours_of_speech_are_not_read_into_memory_for_an_endpoint(tmp_path: Path) -> None:
    path, hours = tmp_path / "speech.wav", 1.5
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        for _ in range(int(hours * 60)):
            file.writeframes(bytes(2 * 60 * RATE_HZ))
    tracemalloc.start()
    try:
        backend = RemoteSpeech(endpoint=_Echo(url="http://127.0.0.1:1/"))
        found = await backend.transcribe(Speech(path, hours * 3600, "en"), lambda *_: None)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.segments) >= 18
    assert found.segments[-1].end_ms == hours * 3_600_000
    assert peak_bytes < path.stat().st_size / 2
