"""media.step-requests.store -> StorePush -> media.step-events."""

from processors.store import Store
from processors.store_push import StorePush
from processors.toolbox import Toolbox
from streams.settings import Settings


def make(_toolbox: Toolbox, settings: Settings) -> StorePush:
    """The processor of this step."""
    return StorePush(Store(settings.store_url))
