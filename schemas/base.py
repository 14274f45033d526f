"""The base of every message, and errors as data."""

from typing import Any, ClassVar

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `data` of one CloudEvent. `TYPE` is its wire name; it never comes from a module path."""

    TYPE: ClassVar[str]


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as data: a message for users, with a stable code."""

    #: Stable, e.g. "unsupported-media".
    code: str
    #: One sentence for users, with what to do.
    message: str
    #: Whether the same request may succeed later.
    retriable: bool = False
    #: Details for engineers, e.g. the last lines of a tool; never secrets.
    detail: str | None = None
    #: Seconds that the remote server asks to wait before the next try.
    retry_after_s: float | None = None


Json = dict[str, Any]
