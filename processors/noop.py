"""The step `noop`: does nothing, to measure overhead and to test a deployment."""

import asyncio

from processors.contract import Work, params_of
from processors.errors import ProcessingError
from schemas.base import ErrorRecord
from schemas.noop import NoopOutputs, NoopParams


class RequestedFailure(ProcessingError):
    """The failure that the parameter `fail_with` requests."""

    retriable = True

    def __init__(self, code: str) -> None:
        super().__init__("The no-op failed as requested by its parameters.")
        self._code = code

    def record(self) -> ErrorRecord:
        """The error with the requested code."""
        return ErrorRecord(code=self._code, message=str(self), retriable=True)


class Noop:
    """Sleeps, reports progress and fails, by its parameters."""

    async def process(self, work: Work) -> NoopOutputs:
        """Return no outputs. Raises InvalidParams, or RequestedFailure with the code in `fail_with`."""
        params = params_of(work, NoopParams)
        for turn in range(params.progress_messages):
            if params.sleep_s:
                await asyncio.sleep(params.sleep_s / params.progress_messages)
            work.report((turn + 1) / params.progress_messages, {})
        if params.sleep_s and not params.progress_messages:
            await asyncio.sleep(params.sleep_s)
        if params.fail_with:
            raise RequestedFailure(params.fail_with)
        return NoopOutputs()
