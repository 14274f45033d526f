"""media.step-requests.thumbnails -> Thumbnailer -> media.step-events"""

from processors.thumbnails import Thumbnailer

from processors.toolbox import Toolbox


def make(toolbox: Toolbox) -> Thumbnailer:
    """The processor of this step."""
    return Thumbnailer(toolbox)
