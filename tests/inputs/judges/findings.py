"""A judge's finding: one measured property of the published media."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One property of what was published."""

    #: What was looked at.
    what: str
    #: What it was, in words and figures.
    measured: str
    holds: bool
