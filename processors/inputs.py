"""What a request hands to a processor, read by its own types."""

from typing import TypeVar

import msgspec

from processors.contract import Work
from processors.errors import InvalidParams
from schemas.probe import ProbeOutputs

Params = TypeVar("Params", bound=msgspec.Struct)


def params_of(work: Work, kind: type[Params]) -> Params:
    """The step's parameters. Raises InvalidParams that names what does not fit."""
    try:
        return msgspec.convert(work.params, kind)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"The pipeline's parameters do not fit the step: {error}") from error


def probed(work: Work) -> ProbeOutputs:
    """What the step `probe` found. Raises InvalidParams when it did not run before."""
    try:
        return msgspec.convert(work.inputs["probe"], ProbeOutputs)
    except (KeyError, msgspec.ValidationError) as error:
        raise InvalidParams("The pipeline must run the step `probe` before this one.", detail=str(error)) from error
