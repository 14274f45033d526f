"""media.step-requests.compress -> Compressor -> media.step-events."""

from processors.compress import Compressor
from processors.tools.runner import Runner
from streams.settings import Settings


def make(runner: Runner, _settings: Settings) -> Compressor:
    """The processor of the step."""
    return Compressor(runner)
