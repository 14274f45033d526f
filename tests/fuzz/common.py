"""What targets share."""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

from streams.settings import Settings, load

T = TypeVar("T")


def unless(error: type[Exception] | tuple[type[Exception], ...], call: Callable[[], T]) -> T | None:
    """What a call gives; None when it says in the documented way that it cannot."""
    try:
        return call()
    except error:
        return None


def header_text(content: bytes) -> str:
    """As aiohttp hands headers on: bytes that are no UTF-8 become halves of letters."""
    return content.decode(errors="surrogateescape")


@cache
def settings_of_here() -> Settings:
    return load({"KINOLOG_STORE__INPUT_ROOTS": '["/srv/media"]'})
