"""media.step-requests.thumbnails -> Thumbnailer -> media.step-events."""

from processors.thumbnails import Thumbnailer
from processors.toolbox import Toolbox
from streams.settings import Settings


def make(toolbox: Toolbox, _settings: Settings) -> Thumbnailer:
    """The processor of this step."""
    return Thumbnailer(toolbox)
