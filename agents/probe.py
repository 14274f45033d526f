"""media.step-requests.probe -> Prober -> media.step-events"""

from processors.probe import Prober
from processors.toolbox import Toolbox


def make(toolbox: Toolbox) -> Prober:
    """The processor of this step."""
    return Prober(toolbox)
