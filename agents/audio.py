"""media.step-requests -> AudioMaker -> media.step-events."""

from processors.audio import AudioMaker
from processors.tools.runner import Runner
from streams.settings import Settings


def make(runner: Runner, _settings: Settings) -> AudioMaker:
    """The processor of the step."""
    return AudioMaker(runner)
