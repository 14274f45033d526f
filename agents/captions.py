"""media.step-requests -> Captioner -> media.step-events."""

from processors.captions import Captioner
from processors.tools.runner import Runner
from streams.settings import Settings


def make(_runner: Runner, _settings: Settings) -> Captioner:
    """The processor of the step; it needs no tools."""
    return Captioner()
