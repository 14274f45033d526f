"""Probes of the broker's clock: a web replica writes a record, and the broker timestamps it."""

from typing import ClassVar

from schemas.base import Message


class ClockProbed(Message, frozen=True, kw_only=True):
    """On `media.progress`, from each web replica about once a minute; consumers ignore it."""

    TYPE: ClassVar[str] = "media.clock.probed.v1"

    #: Name of the replica.
    replica: str
