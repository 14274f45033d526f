"""How a web replica learns the broker's time: it writes a record, and the broker dates it."""

from typing import ClassVar

from schemas.base import Message


class ClockProbed(Message, frozen=True, kw_only=True):
    """On `media.progress`, from each web replica about once a minute; readers pass over it."""

    TYPE: ClassVar[str] = "media.clock.probed.v1"

    #: Name of the replica.
    replica: str
