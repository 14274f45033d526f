"""Settings: one frozen tree, read once from environment variables."""

from streams.settings.environment import load, to_environ
from streams.settings.section import PREFIX, SettingsError
from streams.settings.tree import Settings

__all__ = ["PREFIX", "Settings", "SettingsError", "load", "to_environ"]
