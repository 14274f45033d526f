"""media.step-requests.probe -> Prober -> media.step-events."""

from processors.probe import Prober
from processors.toolbox import Toolbox
from streams.settings import Settings


def make(toolbox: Toolbox, _settings: Settings) -> Prober:
    """The processor of this step."""
    return Prober(toolbox)
