"""media.step-requests -> StorePush -> media.step-events."""

from processors.storage.object_store import open_store
from processors.store import StorePush
from processors.tools.runner import Runner
from streams.process.folders import store_mark
from streams.settings import Settings


def make(_runner: Runner, settings: Settings) -> StorePush:
    """The processor of the step."""
    return StorePush(open_store(settings.store_url, mark=store_mark(settings)))
