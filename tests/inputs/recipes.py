"""The steps that recipes of inputs are put together from. Each gives a function that makes the input in a workshop."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.inputs import tone
from tests.inputs.expected import Make
from tests.inputs.workshop import H264_AAC, Film, Workshop

#: Of sound, where a recipe says nothing else: less than a segment, for what lies behind one has judges of its own.
SECONDS = 3.6


def film(name: str = "film.mp4", encoded: str = H264_AAC, **options: Any) -> Make:
    """A film of the test card; `options` are those of Film."""
    return lambda shop: shop.film(Film(**options), encoded, name)


def lavfi(name: str, arguments: str) -> Make:
    """Whatever ffmpeg makes of its own sources."""

    def make(shop: Workshop) -> Path:
        path = shop.path(name)
        shop.run(f"{arguments} {path}")
        return path

    return make


def copied(name: str, arguments: str, *sources: Make) -> Make:
    """Inputs through ffmpeg once more; {0}, {1} … are their paths."""

    def make(shop: Workshop) -> Path:
        paths = [shlex.quote(str(source(shop))) for source in sources]
        path = shop.path(name)
        shop.run(f"{arguments.format(*paths)} {shlex.quote(str(path))}")
        return path

    return make


def joined(name: str, *sources: Make) -> Make:
    """The bytes of files one after the other, as `cat` joins them."""
    return patched(name, b"".join, *sources)


def patched(name: str, change: Callable[[list[bytes]], bytes], *sources: Make) -> Make:
    """What Python makes of the bytes of files."""

    def make(shop: Workshop) -> Path:
        path = shop.path(name)
        path.write_bytes(change([source(shop).read_bytes() for source in sources]))
        return path

    return make


def cut(name: str, share: float, source: Make) -> Make:
    """The first part of a file: a transfer that broke off, a recorder that lost its power."""
    return patched(name, lambda contents: contents[0][: round(len(contents[0]) * share)], source)


def sound(name: str, encoded: str = "", *, shape: Callable[[Any], Any] = lambda bed: bed, **options: Any) -> Make:
    """The bed with beeps; `shape` changes the samples, `options` are seconds and rate."""
    seconds = options.get("seconds", SECONDS)
    return lambda shop: shop.sound(shape(tone.bed(seconds, (1.0, 2.0))), encoded, name)


def speech(text: str, name: str = "speech.wav", encoded: str = "", *, voice: str = "en-us", speed: int = 150) -> Make:
    """A synthetic voice."""
    return lambda shop: shop.speech(text, encoded, name, voice, speed)


def constant(name: str, content: bytes) -> Make:
    """Bytes that are there already."""
    return patched(name, lambda _: content)
