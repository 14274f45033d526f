"""A case through the real steps as an executor does them: sources, scratch space, sandbox, processors, store."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.attempts import Attempt, Bench, conclude
from agents.lanes import processor_of
from agents.scratch import Scratch
from agents.slots import CpuBudget
from agents.sources import Sources
from processors.limits import Limits
from processors.sandbox import Sandbox
from processors.store import Store
from processors.toolbox import Toolbox
from processors.tools import Runner
from processors.work import Processor
from schemas.base import ErrorRecord, Json
from schemas.jobs import Input
from schemas.step_events import StepCompleted, StepEvent, StepFailed, StepRequested, StepSkipped
from schemas.steps import step_kinds
from streams.settings import load
from tests.hostile.cases import Case

#: The first one decides whether the others are asked for.
STEPS = ("probe", "transcode", "thumbnails", "audio")
#: As an operator might set them, only smaller: what is bounded is bounded soon.
LIMITS = Limits(
    max_duration_s=60.0,
    max_pixels=4096 * 2304,
    tool_memory_bytes=2 * 1024**3,
    tool_file_bytes=64 * 1024**2,
    tool_disk_bytes=128 * 1024**2,
    tool_time_s=20.0,
    tool_time_factor=2.0,
)


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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that came of a case."""

    case: Case
    asset_id: str
    endings: tuple[Ending, ...]
    took_s: float

    @property
    def code(self) -> str:
        """What a user is told: the first step's error, or that the file was taken."""
        return next((ending.code for ending in self.endings if ending.error), "completed")


@dataclass
class Line:
    """The folders and processors of one run."""

    root: Path
    sandbox: Sandbox
    limits: Limits = LIMITS
    _processors: dict[str, Processor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store(f"file://{self.root / 'store'}")
        self.drop = self.root / "drop"
        self.drop.mkdir()
        self.scratch = Scratch(self.root / "scratch")
        self._bench = Bench(self.store, self.scratch, Sources(self.store, (self.drop,)), CpuBudget(2))
        toolbox, settings = Toolbox(self.limits, Runner(self.limits, self.sandbox)), load({})
        kinds = step_kinds()
        self._processors = {name: processor_of(kinds[name], toolbox, settings) for name in STEPS}

    @property
    def stored(self) -> Path:
        """The folder of the store."""
        assert self.store.root is not None
        return self.store.root

    async def run(self, case: Case, number: int) -> Outcome:
        """Every step of the case, the later ones when the first one took the file."""
        began, asset_id = time.monotonic(), f"asset_{number:05d}"
        source = self._place(case, asset_id)
        probe = await self._step("probe", source, case, asset_id, {})
        endings = [probe]
        if probe.outputs is not None:
            inputs = {"probe": probe.outputs}
            endings += [await self._step(step, source, case, asset_id, inputs) for step in STEPS[1:]]
        took_s = time.monotonic() - began
        return Outcome(case=case, asset_id=asset_id, endings=tuple(endings), took_s=took_s)

    def _place(self, case: Case, asset_id: str) -> Input:
        folder = self.drop / asset_id
        folder.mkdir()
        if case.plant is not None:
            return Input(path=str(case.plant(folder / "film.mp4")))
        if case.path_name is not None:
            (folder / case.path_name).write_bytes(case.make())
            return Input(path=str(folder / case.path_name))
        key = f"uploads/{asset_id}/source"
        (self.stored / key).parent.mkdir(parents=True)
        (self.stored / key).write_bytes(case.make())
        return Input(object=key)

    async def _step(self, step: str, source: Input, case: Case, asset_id: str, inputs: dict[str, Any]) -> Ending:
        requested = StepRequested(
            job_id=f"job_{asset_id}",
            asset_id=asset_id,
            run=1,
            step=step,
            attempt=1,
            input=source,
            requested_at=time.time(),
            filename=case.filename,
            inputs=inputs,
        )
        kind = step_kinds()[step]
        attempt = Attempt(requested, kind, lease_id=f"lease_{asset_id}", event_id="event", partition=0)
        return _ending(step, await conclude(attempt, self._processors[step], self._bench))


def _ending(step: str, event: StepEvent) -> Ending:
    match event:
        case StepCompleted():
            return Ending(step=step, outputs=event.outputs)
        case StepSkipped():
            return Ending(step=step, skipped=event.reason)
        case StepFailed():
            return Ending(step=step, error=event.error)
    raise AssertionError(f"{step} ended as {type(event).__name__}")
