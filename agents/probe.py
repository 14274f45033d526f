"""media.step-requests -> Prober -> media.step-events."""

from processors.probe import Prober
from processors.tools.runner import Runner
from streams.settings import Settings


def make(runner: Runner, _settings: Settings) -> Prober:
    """The processor of the step."""
    return Prober(runner)
