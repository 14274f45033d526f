"""The step `embed`: passages of what was said, and their vectors."""

import hashlib

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="embed", slots=1, heavy=True, source=False)


class EmbedParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Models come from the settings; there is nothing to choose."""


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech that is found as one."""

    #: From the source's beginning.
    start_ms: int
    end_ms: int
    text: str
    #: Ids of the transcript segments that it takes words from, in order.
    segments: tuple[int, ...]


class Space(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What made a vector: vectors are comparable only when all of this is equal."""

    #: Name of the model as it is configured, without folders.
    model: str
    #: sha256 of the weights, or the revision that a remote endpoint declares; None: it declares none.
    revision: str | None = None
    #: How tokens become one vector, e.g. "mean".
    pooling: str
    #: Whether vectors have length 1.
    normalised: bool = True
    #: Numbers in a vector.
    dim: int
    #: Put before each passage.
    passage_prefix: str = ""
    #: Version of the cutting into passages.
    chunker: int

    @property
    def id(self) -> str:
        """The same for the same space, on every machine: 16 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.astuple(self))).hexdigest()[:16]


class PassagesFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Content of `passages.json`."""

    #: Store key of the transcript that they are cut from.
    transcript: str
    #: Of the vectors in `vectors.npy`, one row per passage.
    space: Space
    passages: tuple[Passage, ...]


class EmbedOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """File values are keys in the store."""

    #: JSON, see PassagesFile.
    passages: str
    #: NumPy array file: float32, one row per passage, `space.dim` columns.
    vectors: str
    #: Store key of the transcript that they are cut from.
    transcript: str
    count: int
    space: Space
    #: Which backend of the chain served, e.g. "local:all-minilm-l6-v2".
    backend: str
