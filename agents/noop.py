"""media.step-requests.noop -> Noop -> media.step-events."""

from processors.noop import Noop
from processors.toolbox import Toolbox
from streams.settings import Settings


def make(_toolbox: Toolbox, _settings: Settings) -> Noop:
    """The processor of this step; it needs no tools."""
    return Noop()
