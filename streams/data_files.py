"""Folders of the data files of kinolog: below deploy/ in a checkout, else below <prefix>/share/kinolog."""

import sys
from pathlib import Path

from streams.settings import Settings


def pipelines_dir(settings: Settings) -> Path:
    """Folder of pipeline files."""
    return _folder(settings.pipelines_dir, "pipelines")


def profiles_dir(settings: Settings) -> Path:
    """Folder of transcode profiles."""
    return _folder(settings.profiles_dir, "profiles")


def _folder(configured: str | None, name: str) -> Path:
    if configured is not None:
        return Path(configured)
    checkout = Path(__file__).resolve().parents[1] / "deploy" / name
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "kinolog" / name
