"""media.step-requests -> Thumbnailer -> media.step-events."""

from processors.thumbnails import Thumbnailer
from processors.tools.runner import Runner
from streams.settings import Settings


def make(runner: Runner, _settings: Settings) -> Thumbnailer:
    """The processor of the step."""
    return Thumbnailer(runner)
