"""Embedding backends: texts to vectors of length 1 and their space, by a local model or an endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol
from urllib.parse import parse_qs

import msgspec
import numpy as np
from numpy.typing import NDArray

from processors.errors import AnswerInvalid
from processors.models.backends import Backend, Endpoint, model_folder
from processors.models.devices import ModelOnDevices, devices, on_devices
from processors.models.host import ModelLimits
from processors.public_url import public_url
from processors.transcripts.passages import CHUNKER_VERSION
from schemas.embed import Space

Floats = NDArray[np.float32]
#: Models may embed queries differently from passages.
Kind = Literal["passage", "query"]

LOADER = "processors.models.sentence_transformer:load"
#: A shorter vector has no direction.
_SHORTEST = 1e-6


class InvalidBackend(Exception):
    """A backend setting is invalid; the message says why."""


class Embedded(NamedTuple):
    """The result of a backend."""

    #: One row per text, each of length 1.
    vectors: Floats
    space: Space


class Embeddings(Protocol):
    """An embedding backend."""

    @property
    def texts_at_once(self) -> int:
        """Batch size of one request."""
        ...

    @property
    def needs_cpus(self) -> bool:
        """Whether the CPUs of this machine are expected to do the work."""
        ...

    @property
    def is_able(self) -> bool:
        """Whether it can work now."""
        ...

    async def embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        """Embed at least one text. Raises BackendError."""
        ...


class BackendOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a backend after `#`, as in `https://host/path#model=BAAI/bge-m3&dim=1024`."""

    #: Name of an endpoint's model; unset: its URL.
    model: str | None = None
    #: Revision of an endpoint's model.
    revision: str | None = None
    #: Dimension of an endpoint's vectors; others are refused. Unset: that of the first response.
    dim: int | None = None
    #: Prepended to each passage, e.g. "passage: " for E5.
    passage_prefix: str = ""
    #: Prepended to a query, e.g. "query: " for E5.
    query_prefix: str = ""

    def prefixed(self, texts: Sequence[str], kind: Kind) -> list[str]:
        """The texts with the prefix of their kind."""
        prefix = self.query_prefix if kind == "query" else self.passage_prefix
        return [prefix + text for text in texts]


def options_of(backend: Backend) -> BackendOptions:
    """Parse the options of a backend. Raises InvalidBackend."""
    text = (backend.model or backend.url or "").partition("#")[2]
    try:
        return msgspec.convert(
            {name: values[-1] for name, values in parse_qs(text).items()}, BackendOptions, strict=False
        )
    except msgspec.ValidationError as error:
        raise InvalidBackend(f"{backend.name}: invalid options after '#': {error}") from error


def model_name(backend: Backend) -> str:
    """Name of the model in a space, without folders of this machine."""
    configured = options_of(backend).model
    name = backend.model.partition("#")[0] if backend.model else public_url((backend.url or "").partition("#")[0])
    return configured or (Path(name).name if Path(name).is_absolute() else name)


@dataclass(frozen=True)
class LocalEmbeddings:
    """A sentence-transformers model in a process of its own."""

    backend: Backend
    model: ModelOnDevices
    #: Time limit of one request.
    timeout_s: float
    #: The library sorts a batch by length to reduce padding; progress is reported per batch.
    texts_at_once: int = 256

    @property
    def needs_cpus(self) -> bool:
        """See Embeddings."""
        return self.model.needs_cpus

    @property
    def is_able(self) -> bool:
        """See Embeddings."""
        return self.model.is_able

    async def embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        """See Embeddings."""
        options = options_of(self.backend)
        request = {"texts": options.prefixed(texts, kind), "query": kind == "query"}
        response = await self.model.request(request, timeout_s=self.timeout_s)
        vectors = np.frombuffer(response["vectors"], np.float32).reshape(len(texts), response["dim"])
        space = Space(
            model=model_name(self.backend),
            revision=response["revision"],
            pooling=response["pooling"],
            dim=response["dim"],
            passage_prefix=options.passage_prefix,
            chunker=CHUNKER_VERSION,
        )
        return Embedded(vectors, space)

    async def close(self) -> None:
        """Stop the model's process."""
        await self.model.close()


@dataclass(frozen=True)
class RemoteEmbeddings:
    """A feature-extraction endpoint. Source: Hugging Face, Inference Endpoints, task feature-extraction."""

    backend: Backend
    endpoint: Endpoint
    #: Source: Hugging Face, text-embeddings-inference, --max-client-batch-size, 32 by default.
    texts_at_once: int = 32
    needs_cpus: ClassVar[bool] = False
    is_able: ClassVar[bool] = True

    async def embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        """See Embeddings. Raises AnswerInvalid unless there is one vector of the right dimension per text."""
        options = options_of(self.backend)
        vectors = vectors_of(
            await self.endpoint.request({"inputs": options.prefixed(texts, kind)}), len(texts), options.dim
        )
        space = Space(
            model=model_name(self.backend),
            revision=options.revision,
            pooling="endpoint",
            dim=vectors.shape[1],
            passage_prefix=options.passage_prefix,
            chunker=CHUNKER_VERSION,
        )
        return Embedded(vectors, space)

    async def close(self) -> None:
        """Nothing to close."""


def vectors_of(response: Any, count: int, dim: int | None) -> Floats:
    """Parse an endpoint's response as vectors of length 1. Raises AnswerInvalid."""
    try:
        vectors = np.asarray(response, np.float64)
    except (ValueError, TypeError) as error:
        raise AnswerInvalid("The endpoint's response is not a matrix of numbers.", detail=str(error)) from error
    if vectors.ndim != 2 or len(vectors) != count:
        raise AnswerInvalid(f"The endpoint's response is not one vector for each of {count} texts.")
    if dim is not None and vectors.shape[1] != dim:
        raise AnswerInvalid(f"The endpoint's vectors have dimension {vectors.shape[1]} instead of {dim}.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths < _SHORTEST).any():
        raise AnswerInvalid("The endpoint returned a zero or non-finite vector.")
    normalised: Floats = (vectors / lengths).astype(np.float32)
    return normalised


def make_embeddings(
    backend: Backend, *, token: str | None, timeout_s: float, limits: ModelLimits, threads: int, device: str
) -> LocalEmbeddings | RemoteEmbeddings:
    """Create a backend; its model is loaded at the first request. Raises InvalidBackend."""
    options_of(backend)
    if backend.url is not None:
        url = backend.url.partition("#")[0]
        return RemoteEmbeddings(backend, Endpoint(url=url, token=token, timeout_s=timeout_s))
    name = (backend.model or "").partition("#")[0]
    options = {"model": str(model_folder(name) or name), "threads": threads}
    model = on_devices(LOADER, options, limits, model_name(backend), devices(device))
    return LocalEmbeddings(backend, model, timeout_s)
