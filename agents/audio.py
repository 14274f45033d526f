"""media.step-requests.audio -> AudioMaker -> media.step-events."""

from processors.audio import AudioMaker
from processors.toolbox import Toolbox
from streams.settings import Settings


def make(toolbox: Toolbox, _settings: Settings) -> AudioMaker:
    """The processor of this step."""
    return AudioMaker(toolbox)
