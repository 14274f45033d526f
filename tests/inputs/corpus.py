"""The corpus: the inputs of every kind, and the list of those that fail today."""

from pathlib import Path

from tests.inputs.expected import Input
from tests.inputs.kinds import (
    captions,
    changes,
    colours,
    containers,
    damage,
    geometry,
    names,
    rates,
    reports,
    sounds,
    speech,
    times,
    tracks,
)

INPUTS: tuple[Input, ...] = (
    *rates.INPUTS,
    *times.INPUTS,
    *geometry.INPUTS,
    *colours.INPUTS,
    *changes.INPUTS,
    *containers.INPUTS,
    *tracks.INPUTS,
    *sounds.INPUTS,
    *speech.INPUTS,
    *captions.INPUTS,
    *damage.INPUTS,
    *names.INPUTS,
    *reports.INPUTS,
)
FAILING = Path(__file__).with_name("failing.txt")


def failing() -> frozenset[str]:
    """Names of the inputs that fail today, one a line."""
    return frozenset(line for line in FAILING.read_text().splitlines() if line and not line.startswith("#"))
