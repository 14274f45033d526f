"""A sentence-transformers model, as it runs in a model process."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processors.models.protocol import SendPartial
from schemas.base import Json

if TYPE_CHECKING:  # importing it takes seconds
    from sentence_transformers import SentenceTransformer

#: Files of the weights, by preference. Source: Hugging Face, repositories of models.
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
#: Batch size of the model; more is not faster on a CPU.
_BATCH = 32


class EmbeddingModel:
    """Embeds texts as vectors of length 1."""

    def __init__(self, model: "SentenceTransformer", revision: str) -> None:
        self._model = model
        self._identity = {"revision": revision, "pooling": _pooling(model), "dim": model.get_embedding_dimension()}

    def run(self, request: Json, send_partial: SendPartial) -> Json:  # noqa: ARG002  a response is short
        """`vectors`: float32 rows, and the identity of the model; without `texts` only the identity."""
        texts = request.get("texts")
        if not texts:
            return self._identity
        encode = self._model.encode_query if request.get("query") else self._model.encode_document
        vectors = encode(texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
        return {**self._identity, "vectors": vectors.astype("float32", copy=False).tobytes()}


def load(options: Json) -> EmbeddingModel:
    """Load `options["model"]`, a folder or a name in the local cache. Never from the network."""
    folder = _folder(options["model"])  # first: the imports take seconds
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(options["threads"])
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return EmbeddingModel(model, _revision(folder))


def _folder(model: str) -> Path:
    """The folder of the model's files."""
    if (path := Path(model)).is_dir():
        return path
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, local_files_only=True))


def _revision(folder: Path) -> str:
    """sha256 of the weights."""
    digest = hashlib.sha256()
    for pattern in _WEIGHTS:
        files = sorted(folder.glob(pattern))
        for path in files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        if files:
            return digest.hexdigest()
    raise FileNotFoundError(f"{folder} holds no weights: {' or '.join(_WEIGHTS)}")


def _pooling(model: Any) -> str:
    modes = (getattr(module, "pooling_mode", None) for module in model)
    return next((str(mode) for mode in modes if mode), "model")
