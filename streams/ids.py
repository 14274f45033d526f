"""Identifiers: random ones that sort by time, and ones derived from their input."""

import hashlib
import re
import secrets
import time

#: Format of ids from clients.
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def new_id(prefix: str) -> str:
    """`<prefix>_` and 24 hex digits: 12 of milliseconds since the epoch, then 12 random. Sorts by time."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"


def derived_id(prefix: str, *parts: str) -> str:
    """`<prefix>_` and 24 hex digits derived from `parts`."""
    digest = hashlib.sha256("\x00".join(parts).encode()).hexdigest()
    return f"{prefix}_{digest[:24]}"
