"""media.step-requests.embed -> Embedder -> media.step-events."""

from processors.embed import Embedder
from processors.toolbox import Toolbox
from streams.model_backends.embedding import embeddings
from streams.settings import Settings


def make(_toolbox: Toolbox, settings: Settings) -> Embedder:
    """The processor of this step, with the chain of models that is set. Raises SettingsError."""
    return Embedder(embeddings(settings))
