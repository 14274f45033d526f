"""The rules of dispatch that a deployment has chosen."""

from streams.settings import Settings
from tables.dispatch.values import Rules


def rules_of(settings: Settings) -> Rules:
    """Weights and caps of owners; the rest is the same everywhere."""
    chosen = settings.dispatch
    return Rules(weights=chosen.weights, owner_cap=chosen.owner_cap, owner_caps=chosen.owner_caps)
