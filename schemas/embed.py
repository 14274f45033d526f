"""The step `embed`: passages of the transcript, and their vectors."""

import hashlib

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="embed", slots=1, heavy=True, one_model=True, source=False)


class EmbedParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step: none. Models are settings."""


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A section of speech: the unit of search results."""

    #: From the start of the source.
    start_ms: int
    end_ms: int
    text: str
    #: Ids of its transcript segments, in order.
    segments: tuple[int, ...]


class Space(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A vector space: vectors are comparable only if every field is equal."""

    #: Name of the model as configured, without folders.
    model: str
    #: sha256 of the weights, or the revision configured for an endpoint; None: unknown.
    revision: str | None = None
    #: Pooling of token vectors, e.g. "mean".
    pooling: str
    #: Vectors have length 1.
    normalised: bool = True
    #: Dimension of the vectors.
    dim: int
    #: Text prepended to each passage.
    passage_prefix: str = ""
    #: Version of the passage chunker.
    chunker: int

    @property
    def id(self) -> str:
        """Digest of all fields, 16 hexadecimal digits: equal on every machine."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.astuple(self))).hexdigest()[:16]


class PassagesFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Content of `passages.json`."""

    #: Store key of their transcript.
    transcript: str
    #: Space of the vectors in `vectors.npy`, which has one row per passage.
    space: Space
    passages: tuple[Passage, ...]


class EmbedOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step; files are store keys."""

    #: JSON, see PassagesFile.
    passages: str
    #: NumPy array file: float32, one row per passage, `space.dim` columns.
    vectors: str
    #: Store key of their transcript.
    transcript: str
    count: int
    space: Space
    #: Backend that responded, e.g. "local:all-minilm-l6-v2".
    backend: str
