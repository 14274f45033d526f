"""media.step-requests -> Embedder -> media.step-events."""

from processors.embed import Embedder
from processors.tools.runner import Runner
from streams.model_backends.embedding import embeddings
from streams.settings import Settings


def make(_runner: Runner, settings: Settings) -> Embedder:
    """The processor of the step, with the configured models. Raises SettingsError."""
    return Embedder(embeddings(settings))
