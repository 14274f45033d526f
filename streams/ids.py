"""Identifiers: random ones that sort by time, and ones derived from their input."""

import hashlib
import re
import secrets
import time

#: Format of ids from clients.
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
#: Longest id, characters.
_MAX_ID_CHARS = 100
#: The namespace of an owner, in front of an id that a caller has chosen.
_NAMESPACE = re.compile(r"owner_[0-9a-f]{24}\.")


def new_id(prefix: str) -> str:
    """`<prefix>_` and 24 hex digits: 12 of milliseconds since the epoch, then 12 random. Sorts by time."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"


def derived_id(prefix: str, *parts: str) -> str:
    """`<prefix>_` and 24 hex digits derived from `parts`."""
    digest = hashlib.sha256("\x00".join(parts).encode()).hexdigest()
    return f"{prefix}_{digest[:24]}"


def namespace(owner: str) -> str:
    """Prefix of the ids that an owner chooses: "owner_<24 hex digits>."."""
    return f"{derived_id('owner', owner)}."


def namespaced_id(owner: str, chosen: str) -> str:
    """The id in the owner's namespace for an id that the owner chose; an id from the namespace is returned as it is."""
    prefix = namespace(owner)
    if chosen.startswith(prefix):
        return chosen
    fits = len(prefix) + len(chosen) <= _MAX_ID_CHARS
    return prefix + (chosen if fits else derived_id("id", chosen))


def is_foreign(an_id: str, owner: str | None) -> bool:
    """Whether the id is in the namespace of another owner than `owner` (None: nobody's)."""
    return _NAMESPACE.match(an_id) is not None and (owner is None or not an_id.startswith(namespace(owner)))


def without_namespace(an_id: str) -> str:
    """The id that the owner chose, or the id itself where there is no namespace."""
    return _NAMESPACE.sub("", an_id, count=1) if _NAMESPACE.match(an_id) else an_id
