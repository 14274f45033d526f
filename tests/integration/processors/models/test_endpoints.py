"""Transcription behind an endpoint that sleeps, is slow, refuses, talks nonsense, or serves."""

import asyncio
import base64
import wave
from array import array
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agents.transcribe import make
from processors.contract import Work
from processors.errors import BackendError
from processors.models.speech import speech_chunks
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from schemas.audio import AudioOutputs
from schemas.transcribe import TranscribeOutputs, Transcript
from tests.conftest import MakeSettings

SERVED = {
    "text": " Hello there. Bye.",
    "chunks": [{"timestamp": [0.5, 1.0], "text": " Hello there."}, {"timestamp": [1.5, None], "text": " Bye."}],
}


class Endpoint:
    """Answers what a test lays out, the last of it for ever; None: not at all."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any] | None] = []
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.tokens.append(request.headers.get("Authorization"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.sleep(30)
            raise AssertionError("nobody hung up")
        status, body = answer
        return (
            web.Response(status=status, text=body) if isinstance(body, str) else web.json_response(body, status=status)
        )


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    running, app = Endpoint(), web.Application(client_max_size=64 * 1024**2)
    app.router.add_post("/asr", running.serve)
    async with TestServer(app) as server:
        running.url = str(server.make_url("/asr"))
        yield running


def speech_of(folder: Path, seconds: float) -> Path:
    """A WAV file of noise with a silence of 0.5 s ten seconds before each fifth minute."""
    path = folder / "speech.wav"
    rate = 16_000
    loud, soft = array("h", [3000, -3000] * 800), array("h", bytes(3200))
    sound = array("h")
    for tenth in range(int(seconds * 10)):
        sound += soft if 2900 <= tenth % 3000 < 2905 else loud
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    return path


def work_in(folder: Path, seconds: float = 3.0, **more: Any) -> Work:
    speech = speech_of(folder, seconds)

    async def fetch(_key: str) -> Path:
        return speech

    audio = AudioOutputs(audio="a", speech="s", duration_s=seconds, tracks=(0,), channels=1)
    output = folder / "output"
    output.mkdir(exist_ok=True)
    inputs = {"audio": msgspec.to_builtins(audio)}
    return Work(source=speech, scratch=folder, output=output, prefix="p", inputs=inputs, fetch=fetch, **more)


async def transcribe(work: Work, make_settings: MakeSettings, backends: str, **environ: str) -> TranscribeOutputs:
    settings = make_settings(KINOLOG_TRANSCRIBE__BACKENDS=backends, **environ)
    return await make(Runner(Limits()), settings).process(work)


async def test_what_an_endpoint_hears_becomes_captions(
    endpoint: Endpoint, tmp_path: Path, make_settings: MakeSettings
) -> None:
    endpoint.answers = [(200, SERVED)]
    work = work_in(tmp_path, params={"language": "en"})
    outputs = await transcribe(work, make_settings, endpoint.url, KINOLOG_TRANSCRIBE__TOKEN="secret")
    transcript = msgspec.json.decode((work.output / "transcript.json").read_bytes(), type=Transcript)
    assert [(s.start_ms, s.end_ms, s.text) for s in transcript.segments] == [
        (500, 1000, "Hello there."),
        (1500, 3000, "Bye."),
    ]
    assert outputs.model.backend == transcript.model.backend == endpoint.url
    assert endpoint.tokens == ["Bearer secret"]
    [asked] = endpoint.asked
    assert asked["parameters"] == {"return_timestamps": True, "generate_kwargs": {"language": "en"}}
    with wave.open(BytesIO(base64.b64decode(asked["inputs"]))) as sent:
        assert (sent.getframerate(), sent.getnchannels(), sent.getnframes()) == (16_000, 1, 48_000)


LOADING = (503, {"error": "Model is currently loading", "estimated_time": 20.0})


@pytest.mark.parametrize(
    "answer, code, retriable",
    [
        (LOADING, "endpoint-asleep", True),
        ((502, "<html>Bad gateway</html>"), "endpoint-asleep", True),
        ((504, ""), "endpoint-asleep", True),
        ((503, "Service unavailable"), "endpoint-unreachable", True),
        ((500, "out of luck"), "endpoint-unreachable", True),
        ((429, ""), "endpoint-busy", True),
        ((401, {"error": "who are you?"}), "endpoint-refused", False),
        ((404, ""), "endpoint-refused", False),
        ((302, ""), "endpoint-refused", False),
        ((200, "no JSON"), "endpoint-answer-invalid", False),
        ((200, {"label": "cat"}), "endpoint-answer-invalid", False),
        ((200, {"text": "x", "chunks": [{"timestamp": "soon", "text": "x"}]}), "endpoint-answer-invalid", False),
        (None, "endpoint-timed-out", True),
    ],
    ids=str,
)
async def test_whatever_an_endpoint_does_has_its_own_code(
    endpoint: Endpoint, tmp_path: Path, make_settings: MakeSettings, *, answer: Any, code: str, retriable: bool
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(BackendError) as caught:
        await transcribe(work_in(tmp_path), make_settings, endpoint.url, KINOLOG_TRANSCRIBE__ENDPOINT_TIMEOUT_S="0.5")
    assert (caught.value.code, caught.value.retriable) == (code, retriable)


async def test_an_endpoint_that_is_not_there(tmp_path: Path, make_settings: MakeSettings, free_port: Any) -> None:
    with pytest.raises(BackendError) as caught:
        await transcribe(work_in(tmp_path), make_settings, f"http://127.0.0.1:{free_port()}/asr")
    assert caught.value.code == "endpoint-unreachable"


async def test_a_sleeper_is_waited_for_while_the_policy_has_waits_and_then_passed_over(
    endpoint: Endpoint, tmp_path: Path, make_settings: MakeSettings
) -> None:
    other = Endpoint()
    app = web.Application()
    app.router.add_post("/other", other.serve)
    async with TestServer(app) as server:
        other.url = str(server.make_url("/other"))
        endpoint.answers, other.answers = [LOADING], [(200, SERVED)]
        chain = f"{endpoint.url},{other.url}"
        for left in (3, 2, 1):
            with pytest.raises(BackendError) as caught:
                await transcribe(work_in(tmp_path, asleep_left=left), make_settings, chain)
            assert caught.value.code == "endpoint-asleep"
        assert other.asked == []
        outputs = await transcribe(work_in(tmp_path, asleep_left=0), make_settings, chain)
        assert outputs.model.backend == other.url


async def test_a_sleeper_that_wakes_up_serves(endpoint: Endpoint, tmp_path: Path, make_settings: MakeSettings) -> None:
    endpoint.answers = [LOADING, LOADING, (200, SERVED)]
    for left in (3, 2):
        with pytest.raises(BackendError, match="starting up"):
            await transcribe(work_in(tmp_path, asleep_left=left), make_settings, endpoint.url)
    assert (await transcribe(work_in(tmp_path, asleep_left=1), make_settings, endpoint.url)).segments == 2


async def test_waiting_for_an_endpoint_keeps_nobody_from_the_cpus(
    endpoint: Endpoint, tmp_path: Path, make_settings: MakeSettings
) -> None:
    left: list[bool] = []
    endpoint.answers = [(200, SERVED)]
    await transcribe(work_in(tmp_path, release_cpus=lambda: left.append(True)), make_settings, endpoint.url)
    assert left == [True]
    chain = f"{endpoint.url},local:/no/such/model"
    await transcribe(work_in(tmp_path, release_cpus=lambda: left.append(True)), make_settings, chain)
    assert left == [True], "a local model may yet be asked"


def test_long_speech_is_sent_in_stretches_cut_where_it_is_silent(tmp_path: Path) -> None:
    found = [(start, end) for start, end, _ in speech_chunks(speech_of(tmp_path, 700))]
    assert found[0][0] == 0 and found[-1][1] == 700
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    assert 290.0 <= found[0][1] <= 290.5
    assert all(end - start <= 300 for start, end in found)
