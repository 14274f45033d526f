"""media.step-requests.captions -> Captioner -> media.step-events."""

from processors.captions import Captioner
from processors.toolbox import Toolbox
from streams.settings import Settings


def make(_toolbox: Toolbox, _settings: Settings) -> Captioner:
    """The processor of this step; it needs no tools."""
    return Captioner()
