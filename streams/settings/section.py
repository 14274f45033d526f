"""The base of the settings' sections, and what their checks share."""

import msgspec

PREFIX = "KINOLOG_"
#: Shortest key of HMAC-SHA256: one signature is enough to try keys offline. Source: RFC 2104 section 3, RFC 7518
#: section 3.2.
_MIN_KEY_BYTES = 32


class SettingsError(Exception):
    """A setting that does not exist or has an invalid value; the message names it."""


def require_long(name: str, *keys: str | None) -> None:
    """Raise ValueError that names the setting if one of its keys can be guessed from what it signs."""
    if any(key is not None and len(key.encode()) < _MIN_KEY_BYTES for key in keys):
        raise ValueError(f"{name}: has fewer than {_MIN_KEY_BYTES} bytes: it can be guessed (openssl rand -hex 32)")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section."""
