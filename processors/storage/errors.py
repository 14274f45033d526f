"""Errors of the object store.

StoreError
├── ObjectNotFound
├── ObjectTooLarge
└── ForeignStore, see owner_mark
"""

import contextlib
from collections.abc import Iterator

from obstore.exceptions import BaseError


class StoreError(Exception):
    """The store cannot serve the request now: connection, permission, disk."""


class ObjectNotFound(StoreError):
    """There is no object with this key."""


class ObjectTooLarge(StoreError):
    """The stream has more bytes than its limit."""


@contextlib.contextmanager
def mapped_errors(key: str) -> Iterator[None]:
    """Map obstore's errors to StoreError; a full disk stays the OSError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectNotFound(f"there is no object {key}") from error
    except BaseError as error:
        raise StoreError(f"the store cannot serve {key}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
