"""Texts -> vectors of length 1 and the space that they are of: by a local model or a remote endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import parse_qs

import msgspec
import numpy as np
from numpy.typing import NDArray

from processors.errors import AnswerInvalid
from processors.media.passages import CHUNKER_VERSION
from processors.models.backends import Backend, Endpoint, model_folder
from processors.models.host import ModelBounds, ModelHost
from schemas.embed import Space

Floats = NDArray[np.float32]
#: A model may treat what is searched for differently from what is searched in.
Kind = Literal["passage", "query"]

LOADER = "processors.models.sentence_transformer:load"
#: A vector that is shorter than this has no direction.
_SHORTEST = 1e-6


class InvalidBackend(Exception):
    """A backend is set in a way that cannot be used; the message says why."""


class Embedded(NamedTuple):
    """What a backend gave."""

    #: One row per text, each of length 1.
    vectors: Floats
    space: Space


class Embeddings(Protocol):
    """One backend."""

    @property
    def texts_at_once(self) -> int:
        """How many texts one request should have."""
        ...

    async def embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        """The vectors of at least one text. Raises BackendError."""
        ...


class Remarks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backend's setting says behind `#`, as in `https://host/path#model=BAAI/bge-m3&dim=1024`."""

    #: Name of an endpoint's model; else its address stands for it.
    model: str | None = None
    #: Revision of an endpoint's model.
    revision: str | None = None
    #: Numbers in a vector of an endpoint: another answer is refused. Unset: the first answer decides.
    dim: int | None = None
    #: Put before each passage, e.g. "passage: " for E5.
    passage_prefix: str = ""
    #: Put before a query, e.g. "query: " for E5.
    query_prefix: str = ""

    def prefixed(self, texts: Sequence[str], kind: Kind) -> list[str]:
        """The texts as the model wants them."""
        prefix = self.query_prefix if kind == "query" else self.passage_prefix
        return [prefix + text for text in texts]


def remarks(backend: Backend) -> Remarks:
    """What the setting says. Raises InvalidBackend."""
    text = (backend.model or backend.url or "").partition("#")[2]
    try:
        return msgspec.convert({name: values[-1] for name, values in parse_qs(text).items()}, Remarks, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidBackend(f"{backend.name}: behind '#': {error}") from error


def model_name(backend: Backend) -> str:
    """Under which a space knows the model: without the folders of this machine."""
    said = remarks(backend).model
    name = (backend.model or backend.url or "").partition("#")[0]
    return said or (Path(name).name if Path(name).is_absolute() else name)


@dataclass(frozen=True)
class LocalEmbeddings:
    """A sentence-transformers model in a process of its own."""

    backend: Backend
    host: ModelHost
    #: For one request.
    timeout_s: float
    #: The library sorts them by length, so that little is padding; progress moves after each request.
    texts_at_once: int = 256

    async def embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        """See Embeddings."""
        said = remarks(self.backend)
        request = {"texts": said.prefixed(texts, kind), "query": kind == "query"}
        answer = await self.host.ask(request, timeout_s=self.timeout_s)
        vectors = np.frombuffer(answer["vectors"], np.float32).reshape(len(texts), answer["dim"])
        space = Space(
            model=model_name(self.backend),
            revision=answer["revision"],
            pooling=answer["pooling"],
            dim=answer["dim"],
            passage_prefix=said.passage_prefix,
            chunker=CHUNKER_VERSION,
        )
        return Embedded(vectors, space)

    async def close(self) -> None:
        """End the model's process."""
        await self.host.close()


@dataclass(frozen=True)
class RemoteEmbeddings:
    """A feature-extraction endpoint. Source: Hugging Face, Inference Endpoints, task feature-extraction."""

    backend: Backend
    endpoint: Endpoint
    #: Source: Hugging Face, text-embeddings-inference, --max-client-batch-size, 32 by default.
    texts_at_once: int = 32

    async def embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        """See Embeddings. Raises AnswerInvalid for anything but one vector of the right dimension per text."""
        said = remarks(self.backend)
        vectors = vectors_of(await self.endpoint.ask({"inputs": said.prefixed(texts, kind)}), len(texts), said.dim)
        space = Space(
            model=model_name(self.backend),
            revision=said.revision,
            pooling="endpoint",
            dim=vectors.shape[1],
            passage_prefix=said.passage_prefix,
            chunker=CHUNKER_VERSION,
        )
        return Embedded(vectors, space)

    async def close(self) -> None:
        """Nothing is kept open."""


def vectors_of(answer: Any, count: int, dim: int | None) -> Floats:
    """An endpoint's answer as vectors of length 1. Raises AnswerInvalid."""
    try:
        vectors = np.asarray(answer, np.float64)
    except (ValueError, TypeError) as error:
        raise AnswerInvalid("The endpoint's answer is no table of numbers.", detail=str(error)) from error
    if vectors.ndim != 2 or len(vectors) != count:
        raise AnswerInvalid(f"The endpoint's answer is not one vector for each of {count} texts.")
    if dim is not None and vectors.shape[1] != dim:
        raise AnswerInvalid(f"The endpoint's vectors have {vectors.shape[1]} numbers, where {dim} are expected.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths < _SHORTEST).any():
        raise AnswerInvalid("The endpoint's vectors have no direction.")
    normalised: Floats = (vectors / lengths).astype(np.float32)
    return normalised


def make_embeddings(
    backend: Backend, *, token: str | None, timeout_s: float, bounds: ModelBounds, threads: int
) -> LocalEmbeddings | RemoteEmbeddings:
    """What serves one entry of a chain; nothing is loaded before it is asked. Raises InvalidBackend."""
    remarks(backend)
    if backend.url is not None:
        url = backend.url.partition("#")[0]
        return RemoteEmbeddings(backend, Endpoint(url=url, token=token, timeout_s=timeout_s))
    name = (backend.model or "").partition("#")[0]
    options = {"model": str(model_folder(name) or name), "threads": threads}
    return LocalEmbeddings(backend, ModelHost(LOADER, options, bounds, model_name(backend)), timeout_s)
