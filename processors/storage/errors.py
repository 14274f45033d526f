"""Errors of the object store.

StoreError
├── ObjectNotFound
├── ObjectTooLarge
├── StoreAbsent
└── ForeignStore, see owner_mark
"""

import contextlib
import re
from collections.abc import Iterator

from obstore.exceptions import BaseError

#: What buckets say when they do not exist: Amazon S3, Azure, Google Cloud Storage.
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
#: Parts of a server's answer, or of a failed connection, and what is put in front of them.
_REASONS = (
    ("", re.compile(r"<Code>([^<]{1,100})</Code>")),
    ("", re.compile(r"<Message>([^<]{1,300})</Message>")),
    ("the certificate is not trusted: ", re.compile(r"InvalidCertificate\(\s*(\w+)")),
    ("", re.compile(r'(?:message|error): "([^"]{1,200})"')),
)


class StoreError(Exception):
    """The store cannot serve the request now: connection, permission, disk."""


class ObjectNotFound(StoreError):
    """There is no object with this key."""


class ObjectTooLarge(StoreError):
    """The stream has more bytes than its limit."""


class StoreAbsent(StoreError):
    """The store is not there: without its owner mark it is another folder or bucket, in place of the right one."""


@contextlib.contextmanager
def mapped_errors(key: str) -> Iterator[None]:
    """Map obstore's errors to StoreError; a full disk stays the OSError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        if any(code in str(error) for code in _NO_BUCKET):
            raise StoreError(f"the store cannot serve {key}: {reason(str(error))}") from error
        raise ObjectNotFound(f"there is no object {key}") from error
    except BaseError as error:
        raise StoreError(f"the store cannot serve {key}: {reason(str(error))}") from error


def reason(text: str) -> str:
    """Why a request to a store failed, in one line, from the text of obstore's error. Pure.

    That text puts the server's reason on its second line, and the reason for no connection into its debug output.
    """
    message, _, debug = text.partition("\n\nDebug source:")
    request, _, body = message.partition("<")
    first = request.partition("\n")[0].strip(" :")[:300]
    matches = [(prefix, pattern.search(f"<{body}" if body else debug)) for prefix, pattern in _REASONS]
    found = [f"{prefix}{match[1]}" for prefix, match in matches if match is not None]
    return f"{first} ({': '.join(found)})"[:600] if found else first
