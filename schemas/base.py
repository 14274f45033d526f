"""The base of every message, and errors as data."""

from typing import Annotated, Any, ClassVar

import msgspec

#: Milliseconds. The bound is the largest integer that every JSON reader keeps.
Position = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The `data` of one CloudEvent. `TYPE` is its wire name; it never comes from a module path."""

    TYPE: ClassVar[str]


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
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


class OutputWarning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A defect of a step's outputs although the step completed: an entry of `warnings` in its outputs."""

    #: Stable, e.g. "media-damaged".
    code: str
    #: One sentence for users.
    message: str
    #: Affected part of the media, in milliseconds from its start.
    start_ms: Position | None = None
    end_ms: Position | None = None


class StepWarning(OutputWarning, frozen=True, kw_only=True, omit_defaults=True):
    """What a completed job lacks, and why: a step failed, was skipped because another failed, or warned."""

    #: Name of the step.
    step: str


Json = dict[str, Any]
