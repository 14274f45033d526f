"""Checks of the model backends of `transcribe` and `embed`. No model is loaded and no endpoint is called."""

from collections.abc import Callable, Sequence
from pathlib import Path

from processors import embed
from processors.models.backends import Backend, model_folder
from processors.models.embeddings import InvalidBackend, options_of
from streams.doctor.diagnosis import Finding, fine, problem, warning
from streams.model_backends import transcription
from streams.model_backends.embedding import embedding_backends
from streams.settings import Settings, SettingsError

#: Whether a model without a local folder is available by its name.
Has = Callable[[str], bool]


async def transcribe(settings: Settings) -> Finding:
    """The speech backends."""
    try:
        chain = transcription.speech_backends(settings)
    except SettingsError as error:
        return problem(str(error))
    return _chain("transcribe", chain, transcription.is_installed(), _knows_speech)


async def embedding(settings: Settings) -> Finding:
    """The embedding backends."""
    try:
        chain = embedding_backends(settings)
        for backend in chain:
            options_of(backend)
    except (SettingsError, InvalidBackend) as error:
        return problem(str(error))
    return _chain("embed", chain, embed.is_installed(), _keeps_embedding)


def _chain(step: str, chain: Sequence[Backend], installed: bool, has: Has) -> Finding:
    local = [backend for backend in chain if backend.model is not None]
    names, setting = ", ".join(backend.name for backend in chain), f"KINOLOG_{step.upper()}__BACKENDS"
    if not chain and installed:
        return warning(
            f"The step {step} is skipped: no model is configured.", f"Set {setting} to local:FOLDER or https://…"
        )
    if not installed and len(local) == len(chain):
        remedy = f"Run `pip install 'kinolog[{step}]'`, or set {setting} to an endpoint."
        return warning(f"The step {step} is skipped: its libraries are not installed.", remedy)
    if not installed and local:
        return warning(
            f"{step} cannot use {local[0].name}: its libraries are not installed.",
            f"Run `pip install 'kinolog[{step}]'`.",
        )
    if lost := [backend.name for backend in local if not _is_here(backend, has)]:
        # The chain falls back to the next one; if the last fails the job fails.
        message = f"{step}: model {', '.join(lost)} not found on this machine."
        return (problem if len(lost) == len(chain) else warning)(message, f"Install it, or change {setting}.")
    return fine(names)


def _is_here(backend: Backend, has: Has) -> bool:
    name = (backend.model or "").partition("#")[0]
    return model_folder(name) is not None or (not Path(name).is_absolute() and has(name))


def _knows_speech(name: str) -> bool:
    """Whether it can be downloaded, which happens on first use."""
    from faster_whisper import available_models

    return "/" in name or name in available_models()


def _keeps_embedding(name: str) -> bool:
    """Whether it is in Hugging Face's cache; nothing is downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(name, local_files_only=True)
    except (LocalEntryNotFoundError, ValueError, OSError):
        return False
    return True
