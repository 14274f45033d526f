"""media.step-requests.noop -> Noop -> media.step-events"""

from processors.noop import Noop
from processors.toolbox import Toolbox


def make(toolbox: Toolbox) -> Noop:
    """The processor of this step; it needs no tools."""
    return Noop()
