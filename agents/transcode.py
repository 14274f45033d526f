"""media.step-requests.transcode -> Transcoder -> media.step-events."""

from processors.media.profiles import load_profiles
from processors.toolbox import Toolbox
from processors.transcode import Transcoder
from streams.data_files import profiles_dir
from streams.settings import Settings


def make(toolbox: Toolbox, settings: Settings) -> Transcoder:
    """The processor of this step, with the profiles of this installation. Raises ProfileError."""
    return Transcoder(toolbox, load_profiles(profiles_dir(settings)))
