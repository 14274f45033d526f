"""What every media processor is constructed with."""

from dataclasses import dataclass
from pathlib import Path

from processors.tools.limits import Limits
from processors.tools.runner import Runner

__all__ = ["Limits", "Toolbox", "make_toolbox"]


@dataclass(frozen=True)
class Toolbox:
    """The bounds of the work and the one way to run a tool."""

    limits: Limits
    runner: Runner


def make_toolbox(limits: Limits, trials: Path | None = None) -> Toolbox:
    """A toolbox, one per process. Which sandbox works here is found out when the first tool runs, below `trials`."""
    return Toolbox(limits=limits, runner=Runner(limits, trials=trials))
