"""The version of the program."""

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The installed version."""
    try:
        return version("kinolog")
    except PackageNotFoundError:
        return "0"
