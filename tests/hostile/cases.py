"""What a case of the corpus is, and how the families of cases are drawn from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.seeds import Seeds


@dataclass(frozen=True, kw_only=True)
class Bait:
    """What hostile files point at; nothing of it may ever be seen or touched."""

    #: A file with `secret` in it that everybody on the machine may read, beside everything that tools may read.
    canary: Path
    secret: str
    #: Somebody listens there, and must hear nothing.
    url: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """One hostile file. Its bytes are made when it is run, from nothing but the seeds and the bait."""

    #: family/what
    name: str
    make: Callable[[], bytes] = bytes
    #: Told to the pipeline as the upload's name.
    filename: str = "film.mp4"
    #: Its name on the disk, when it is not handed over as an object of the store.
    path_name: str | None = None
    #: Put there in place of a file with the bytes; returns what is to be read.
    plant: Callable[[Path], Path] | None = None
    #: Codes that it may end with, where there is more to say than that it must be the input's fault.
    codes: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What families make cases of."""

    seeds: Seeds
    bait: Bait


#: Makes the cases of one family.
Family = Callable[[Materials], Iterator[Case]]


def of(content: bytes) -> Callable[[], bytes]:
    """A case's `make` that gives what is there already."""
    return lambda: content
