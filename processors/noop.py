"""Does nothing, as long and as loudly as asked: for measuring the road and for trying the machinery."""

import asyncio

from processors.contract import Work, params_of
from processors.errors import ProcessingError
from schemas.base import ErrorRecord
from schemas.noop import NoopOutputs, NoopParams


class AskedToFail(ProcessingError):
    """The no-op was asked to fail."""

    retriable = True

    def __init__(self, code: str) -> None:
        super().__init__("The no-op failed because it was asked to.")
        self._code = code

    def record(self) -> ErrorRecord:
        """The error with the code that was asked for."""
        return ErrorRecord(code=self._code, message=str(self), retriable=True)


class Noop:
    """Sleeps, reports progress, fails: as its parameters say."""

    async def process(self, work: Work) -> NoopOutputs:
        """No outputs. Raises InvalidParams, or AskedToFail with the code that was asked for."""
        params = params_of(work, NoopParams)
        for turn in range(params.progress_messages):
            if params.sleep_s:
                await asyncio.sleep(params.sleep_s / params.progress_messages)
            work.report((turn + 1) / params.progress_messages, {})
        if params.sleep_s and not params.progress_messages:
            await asyncio.sleep(params.sleep_s)
        if params.fail_with:
            raise AskedToFail(params.fail_with)
        return NoopOutputs()
