"""media.step-requests -> Transcriber -> media.step-events."""

from processors.errors import Skipped
from processors.models.backends import Backend, Endpoint, model_folder
from processors.models.devices import devices, on_devices
from processors.models.host import ModelLimits
from processors.models.speech import LocalSpeech, RemoteSpeech, SpeechBackend
from processors.tools.cpus import available_cpus
from processors.tools.runner import Runner
from processors.transcribe import Transcriber
from streams.model_backends.transcription import is_installed, speech_backends
from streams.settings import Settings

_NOT_INSTALLED = Skipped("not-installed", hint="pip install 'kinolog[transcribe]', or set KINOLOG_TRANSCRIBE__BACKENDS")
_NO_MODEL = Skipped("no-model", hint="set KINOLOG_TRANSCRIBE__BACKENDS, e.g. to local:/path/of/a/CTranslate2/model")


def make(_runner: Runner, settings: Settings) -> Transcriber:
    """The processor of the step, with the configured backends. Raises SettingsError."""
    installed = is_installed()
    usable = [backend for backend in speech_backends(settings) if backend.url is not None or installed]
    missing = None if usable else _NO_MODEL if installed else _NOT_INSTALLED
    return Transcriber({backend.name: _transcribes(backend, settings) for backend in usable}, missing)


def _transcribes(backend: Backend, settings: Settings) -> SpeechBackend:
    options = settings.transcribe
    if backend.model is None:
        assert backend.url is not None
        endpoint = Endpoint(url=backend.url, token=options.token, timeout_s=options.endpoint_timeout_s)
        return RemoteSpeech(endpoint=endpoint)
    folder = model_folder(backend.model)
    model = on_devices(
        "processors.models.whisper:load",
        {
            "model": str(folder or backend.model),
            "compute_type": options.compute_type,
            "cpu_threads": settings.executor.cpus or available_cpus(),
        },
        ModelLimits(memory_bytes=options.memory_bytes, idle_s=options.idle_s, network=folder is None),
        backend.model,
        devices(options.device),
    )
    return LocalSpeech(model=model, time_s=options.time_s, time_factor=options.time_factor)
