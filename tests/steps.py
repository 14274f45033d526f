"""Real steps without a log: sources, scratch space, sandbox, processors and store, as an executor has them."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.executor.attempts import Attempt, AttemptIdentity
from agents.executor.capacity import CpuBudget
from agents.executor.execution import AttemptResources, execute
from agents.executor.lanes import processor_of
from agents.executor.scratch import Scratch
from agents.executor.sources import Sources
from processors.contract import Processor
from processors.storage.local_store import LocalStore
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from processors.tools.sandbox import Sandbox
from schemas.base import ErrorRecord, Json
from schemas.jobs import Input
from schemas.step_events import AttemptCompleted, AttemptFailed, AttemptSkipped, StepEvent, StepRequested
from schemas.steps import step_kinds
from streams.settings import load


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How one step ended."""

    step: str
    #: Of what completed; None for what did not.
    outputs: Json | None = None
    skipped: str | None = None
    error: ErrorRecord | None = None

    @property
    def code(self) -> str:
        """A word for tables."""
        return self.error.code if self.error else f"skipped: {self.skipped}" if self.skipped else "completed"


class Steps:
    """The folders and processors of one run, with the settings as they are by default."""

    def __init__(self, root: Path, sandbox: Sandbox, steps: Iterable[str], *, limits: Limits) -> None:
        self.limits = limits
        self.store = LocalStore(root / "store")
        #: Where files lie that are processed by their path.
        self.drop = root / "drop"
        self.drop.mkdir()
        self.scratch = Scratch(root / "scratch")
        self._resources = AttemptResources(self.store, self.scratch, Sources(self.store, (self.drop,)), CpuBudget(2))
        self._runner = Runner(limits, sandbox)
        self.processors: dict[str, Processor] = {step: self.processor(step, {}) for step in steps}

    def processor(self, step: str, environ: Mapping[str, str]) -> Processor:
        """A new processor of that step, with settings from `environ`."""
        return processor_of(step_kinds()[step], self._runner, load(environ))

    @property
    def stored(self) -> Path:
        """The folder of the store."""
        return self.store.root

    async def run(
        self,
        step: str,
        source: Input,
        filename: str,
        asset_id: str,
        inputs: dict[str, Json],
        *,
        processor: Processor | None = None,
    ) -> Ending:
        """One attempt of a step on a source, with the outputs of the steps before it; by that processor, if given."""
        requested = StepRequested(
            job_id=f"job_{asset_id}",
            asset_id=asset_id,
            run=1,
            step=step,
            attempt=1,
            input=source,
            requested_at=time.time(),
            filename=filename,
            inputs=inputs,
        )
        kind = step_kinds()[step]
        attempt = Attempt(AttemptIdentity(requested, kind, f"lease_{asset_id}", "event"))
        return _ending(step, await execute(attempt, processor or self.processors[step], self._resources))


def _ending(step: str, event: StepEvent) -> Ending:
    match event:
        case AttemptCompleted():
            return Ending(step=step, outputs=event.outputs)
        case AttemptSkipped():
            return Ending(step=step, skipped=event.reason)
        case AttemptFailed():
            return Ending(step=step, error=event.error)
    raise AssertionError(f"{step} ended as {type(event).__name__}")
