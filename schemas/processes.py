"""Status reports of processes."""

from typing import ClassVar

from schemas.base import Message


class ControlReported(Message, frozen=True, kw_only=True):
    """On `media.progress`, every second from each active control process; may be lost."""

    TYPE: ClassVar[str] = "media.control.reported.v1"

    #: Id of the process within its consumer group.
    control: str
    #: Assigned partitions of `media.commands`.
    partitions: tuple[int, ...]
    #: Whether this process gives steps to executors; unset: another one does. False for long: its dispatcher fails.
    dispatching: bool | None = None
