"""A figure of the simulation: a line of the table in docs/dispatch.md."""

from typing import NamedTuple


class Figure(NamedTuple):
    """What was simulated, what came out, and the bar that it should meet."""

    what: str
    measured: str
    spread: str
    #: Empty where there is none.
    bar: str
    #: The figure as a share of its bar: 1 meets it, less is better. None where there is no bar.
    share: float | None = None
