"""The step `embed`: passages of the transcript and their vectors, for search by meaning."""

import asyncio
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from processors.contract import Work, params_of
from processors.errors import AnswerInvalid, InvalidParams, OutputIncomplete, Skipped
from processors.models.backends import first_success
from processors.models.embeddings import Embedded, Embeddings, LocalEmbeddings
from processors.transcripts.passages import passages, speech_of
from schemas.embed import EmbedOutputs, EmbedParams, Passage, PassagesFile
from schemas.transcribe import Transcript

PASSAGES, VECTORS = "passages.json", "vectors.npy"
_LIBRARY = "sentence_transformers"
_NOT_INSTALLED = "pip install 'kinolog[embed]', or set KINOLOG_EMBED__BACKENDS to an endpoint"
_NO_MODEL = "set KINOLOG_EMBED__BACKENDS, e.g. to local:/path/of/a/sentence-transformers/model"


def is_installed() -> bool:
    """Whether the library for local models is installed."""
    return importlib.util.find_spec(_LIBRARY) is not None


@dataclass(frozen=True)
class Embedder:
    """Embeds the transcript with the first backend of its chain that succeeds."""

    #: By name, in fallback order.
    backends: Mapping[str, Embeddings]
    #: Whether the library for local models is installed.
    installed: Callable[[], bool] = field(default=is_installed)

    @property
    def is_able(self) -> bool:
        """False while no backend can work, as where the only one needs a GPU that is away."""
        return not self.backends or any(backend.is_able for backend in self.backends.values())

    async def process(self, work: Work) -> EmbedOutputs:
        """Write passages and vectors. Raises Skipped without speech or without a model, BackendError."""
        params_of(work, EmbedParams)
        key = _transcript_key(work)
        usable = self._usable()
        if not any(backend.needs_cpus for backend in usable.values()):
            work.release_cpus()  # endpoints and GPUs compute
        transcript = await asyncio.to_thread(_read, await work.fetch(key))
        cut = await asyncio.to_thread(lambda: passages(speech_of(transcript)))
        if not cut:
            raise Skipped("no-speech")
        tries = {name: partial(_embedded, backend, cut, work) for name, backend in usable.items()}
        backend_name, embedded = await first_success(tries, asleep_left=work.asleep_left)
        file = PassagesFile(transcript=key, space=embedded.space, passages=tuple(cut))
        await asyncio.to_thread(_write, work.output, file, embedded)
        work.report(1.0, {})
        return EmbedOutputs(
            passages=work.key(PASSAGES),
            vectors=work.key(VECTORS),
            transcript=key,
            count=len(cut),
            space=embedded.space,
            backend=backend_name,
        )

    def _usable(self) -> Mapping[str, Embeddings]:
        installed = self.installed()
        usable = {
            name: backend
            for name, backend in self.backends.items()
            if installed or not isinstance(backend, LocalEmbeddings)
        }
        if not usable and installed:
            raise Skipped("no-model", hint=_NO_MODEL)
        if not usable:
            raise Skipped("not-installed", hint=_NOT_INSTALLED)
        return usable


async def _embedded(backend: Embeddings, all_passages: Sequence[Passage], work: Work) -> Embedded:
    """Embed all passages with one backend. Raises AnswerInvalid if their spaces differ."""
    parts: list[Embedded] = []
    step = backend.texts_at_once
    for begin in range(0, len(all_passages), step):
        texts = [passage.text for passage in all_passages[begin : begin + step]]
        parts.append(await backend.embed(texts, "passage"))
        if parts[-1].space != parts[0].space:
            raise AnswerInvalid("The endpoint changed the dimension of its vectors between requests.")
        work.report(min(begin + step, len(all_passages)) / len(all_passages), {})
    return Embedded(np.concatenate([part.vectors for part in parts]), parts[0].space)


def _transcript_key(work: Work) -> str:
    key = work.inputs.get("transcribe", {}).get("transcript")
    if not isinstance(key, str):
        raise InvalidParams("The pipeline must run the step `transcribe` before this one.")
    return key


def _read(path: Path) -> Transcript:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Transcript)
    except msgspec.MsgspecError as error:
        raise OutputIncomplete("The transcript is not valid JSON.", detail=str(error)) from error


def _write(folder: Path, file: PassagesFile, embedded: Embedded) -> None:
    (folder / PASSAGES).write_bytes(msgspec.json.encode(file))
    np.save(folder / VECTORS, embedded.vectors.astype(np.float32), allow_pickle=False)
