"""What processes report of themselves."""

from typing import ClassVar

from schemas.base import Message


class ControlReported(Message, frozen=True, kw_only=True):
    """On `media.progress`, every second from each control process that decides; may be lost."""

    TYPE: ClassVar[str] = "media.control.reported.v1"

    #: Id of the process within its consumer group.
    control: str
    #: Partitions of `media.commands` that it decides.
    partitions: tuple[int, ...]
