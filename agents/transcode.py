"""media.step-requests -> Transcoder -> media.step-events."""

from processors.media.profiles import load_profiles
from processors.tools.runner import Runner
from processors.transcode import Transcoder
from streams.data_files import profiles_dir
from streams.settings import Settings


def make(runner: Runner, settings: Settings) -> Transcoder:
    """The processor of the step, with the configured profiles. Raises ProfileError."""
    return Transcoder(runner, load_profiles(profiles_dir(settings)))
