"""The base of every message, and how a type is found by its wire name."""

from typing import Any, ClassVar

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `data` of one CloudEvent. `TYPE` is its wire name; it never comes from a module path."""

    TYPE: ClassVar[str]


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as data: what was wrong, said to a person, with a code that never changes."""

    #: Stable, e.g. "unsupported-media".
    code: str
    #: One sentence that a user understands, with what to do.
    message: str
    #: Whether the same request may succeed later.
    retriable: bool = False
    #: Further facts for an engineer, e.g. the last lines of a tool; never secrets.
    detail: str | None = None
    #: Seconds that the other side asked us to wait before the next try.
    retry_after_s: float | None = None


Json = dict[str, Any]
