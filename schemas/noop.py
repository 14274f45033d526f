"""The step `noop`: does nothing, to measure overhead and to test a deployment without media."""

from typing import Annotated

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="noop", slots=1024, instant=True, files=False)


class NoopParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step."""

    #: Progress messages to send, 0-1,000.
    progress_messages: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    #: Duration, seconds, 0-3,600.
    sleep_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    #: Error code to fail with, retriable; empty: succeed.
    fail_with: str = ""


class NoopOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step: none."""
