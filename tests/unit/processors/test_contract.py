"""A request that does not fit is the pipeline's fault, said clearly."""

from pathlib import Path
from typing import Any

import pytest

from processors.contract import Work, outputs_of, params_of
from processors.errors import InvalidParams
from schemas.probe import ProbeOutputs
from schemas.thumbnails import ThumbnailsParams

_NOWHERE = Path("/dev/null")


def _work(params: dict[str, Any], inputs: dict[str, Any]) -> Work:
    return Work(source=_NOWHERE, scratch=_NOWHERE, output=_NOWHERE, prefix="a", params=params, inputs=inputs)


def test_parameters_have_defaults() -> None:
    assert params_of(_work({}, {}), ThumbnailsParams) == ThumbnailsParams()


def test_a_parameter_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(InvalidParams, match="count"):
        params_of(_work({"count": "many"}, {}), ThumbnailsParams)


@pytest.mark.parametrize("inputs", [{}, {"probe": {"demuxer": "mov"}}])
def test_the_probe_must_come_first(inputs: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams, match="`probe`"):
        outputs_of(_work({}, inputs), "probe", ProbeOutputs)
