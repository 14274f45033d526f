"""Checks of the model backends of `transcribe` and `embed`, and of the GPUs that they should use.

No model is loaded and no endpoint is called.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from processors import embed
from processors.errors import BackendError
from processors.models.backends import Backend, model_folder
from processors.models.devices import AUTO, CPU, devices
from processors.models.embeddings import InvalidBackend, options_of
from processors.models.host import ModelHost, ModelLimits
from streams.doctor.diagnosis import Finding, fine, problem, warning
from streams.model_backends import transcription
from streams.model_backends.embedding import embedding_backends
from streams.settings import Settings, SettingsError

_SPEECH_SURVEY = "processors.models.whisper:survey"
_EMBEDDING_SURVEY = "processors.models.sentence_transformer:survey"
#: A library is loaded, and no model: PyTorch with CUDA takes some seconds and 1 GB.
_SURVEY_LIMITS = ModelLimits(memory_bytes=4 * 1024**3, load_s=60.0)
#: Whether a model without a local folder is available by its name.
Has = Callable[[str], bool]


async def transcribe(settings: Settings) -> Finding:
    """The speech backends."""
    try:
        chain = transcription.speech_backends(settings)
    except SettingsError as error:
        return problem(str(error))
    found = _chain("transcribe", chain, transcription.is_installed(), _knows_speech)
    return await _on_device(found, "transcribe", chain, settings.transcribe.device, _SPEECH_SURVEY)


async def embedding(settings: Settings) -> Finding:
    """The embedding backends."""
    try:
        chain = embedding_backends(settings)
        for backend in chain:
            options_of(backend)
    except (SettingsError, InvalidBackend) as error:
        return problem(str(error))
    found = _chain("embed", chain, embed.is_installed(), _keeps_embedding)
    return await _on_device(found, "embed", chain, settings.embed.device, _EMBEDDING_SURVEY)


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


async def _on_device(found: Finding, step: str, chain: Sequence[Backend], device: str, survey: str) -> Finding:
    """The finding of a chain, and whether its local models can use the GPU that they are to use."""
    gpus = [each for each in devices(device) if each != CPU]
    if found.level != "ok" or not gpus or all(backend.model is None for backend in chain):
        return found
    host = ModelHost(survey, {"device": gpus[0]}, _SURVEY_LIMITS, "survey")
    try:
        names = (await host.request({}, timeout_s=_SURVEY_LIMITS.load_s))["names"]
    except BackendError as error:
        return _without_gpu(step, device, error.detail or str(error))
    finally:
        await host.close()
    return fine(f"{found.message}, on a GPU: {', '.join(names) or gpus[0]}")


def _without_gpu(step: str, device: str, reason: str) -> Finding:
    setting = f"KINOLOG_{step.upper()}__DEVICE"
    if device == AUTO:
        return warning(
            f"{step} runs on the CPU, because the GPU of this machine cannot be used: {reason}",
            f"See docs/operate.md, GPUs; or set {setting}=cpu.",
        )
    return problem(
        f"{step} cannot run: {setting} is {device}, which cannot be used: {reason}", "See docs/operate.md, GPUs."
    )


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
