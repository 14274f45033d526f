"""media.step-requests -> Noop -> media.step-events."""

from processors.noop import Noop
from processors.tools.runner import Runner
from streams.settings import Settings


def make(_runner: Runner, _settings: Settings) -> Noop:
    """The processor of the step; it needs no tools."""
    return Noop()
