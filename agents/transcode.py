"""media.step-requests.transcode -> Transcoder -> media.step-events"""

from processors.transcode import Transcoder

from processors.toolbox import Toolbox


def make(toolbox: Toolbox) -> Transcoder:
    """The processor of this step."""
    return Transcoder(toolbox)
