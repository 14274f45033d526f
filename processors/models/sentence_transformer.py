"""A sentence-transformers model, as it runs in a model process."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processors.models.gpu import Survey, first_that_computes, require_one
from processors.models.protocol import SendPartial
from schemas.base import Json

if TYPE_CHECKING:  # importing it takes seconds
    from sentence_transformers import SentenceTransformer

#: Files of the weights, by preference. Source: Hugging Face, repositories of models.
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
#: Batch size of the model; more is not faster on a CPU.
_BATCH, _GPU_BATCH = 32, 256


class EmbeddingModel:
    """Embeds texts as vectors of length 1."""

    def __init__(self, model: "SentenceTransformer", revision: str) -> None:
        self._model = model
        self._batch = _BATCH if model.device.type == "cpu" else _GPU_BATCH
        self.about: Json = {"device": str(model.device)}
        self._identity = {"revision": revision, "pooling": _pooling(model), "dim": model.get_embedding_dimension()}

    def run(self, request: Json, send_partial: SendPartial) -> Json:  # noqa: ARG002  a response is short
        """`vectors`: float32 rows, and the identity of the model; without `texts` only the identity."""
        texts = request.get("texts")
        if not texts:
            return self._identity
        encode = self._model.encode_query if request.get("query") else self._model.encode_document
        vectors = encode(texts, batch_size=self._batch, normalize_embeddings=True, show_progress_bar=False)
        return {**self._identity, "vectors": vectors.astype("float32", copy=False).tobytes()}


def load(options: Json) -> EmbeddingModel:
    """Load `options["model"]`, a folder or a name in the local cache, on `device`. Never from the network.

    Raises GpuUnusable.
    """
    folder = _folder(options["model"])  # first: the imports take seconds
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(options["threads"])

    def build(device: str) -> SentenceTransformer:
        return SentenceTransformer(str(folder), device=device, local_files_only=True)

    device = options["device"]
    if device == "cpu":
        return EmbeddingModel(build(device), _revision(folder))
    _require_gpu(device)
    # In the model's own type, as on a CPU: vectors of both are compared with each other.
    return EmbeddingModel(first_that_computes([device], build, _trial), _revision(folder))


def survey(options: Json) -> Survey:
    """A loader that finds out whether sentence-transformers can use the GPU `device`. Raises GpuUnusable."""
    _require_gpu(options["device"])
    return Survey()


def _require_gpu(device: str) -> None:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    require_one(device, count, f"PyTorch {torch.__version__}")


def _trial(model: "SentenceTransformer") -> Any:
    return model.encode(["a trial"], show_progress_bar=False)


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
