"""A case through the real steps as an executor does them."""

import time
from dataclasses import dataclass
from pathlib import Path

from processors.tools.limits import Limits
from processors.tools.sandbox import Sandbox
from schemas.jobs import Input
from tests.hostile.cases import Case
from tests.steps import Ending, Steps

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


class Line(Steps):
    """The steps of one run, and where its cases are put."""

    def __init__(self, root: Path, sandbox: Sandbox, limits: Limits = LIMITS) -> None:
        super().__init__(root, sandbox, STEPS, limits=limits)

    async def process(self, case: Case, number: int) -> Outcome:
        """Every step of the case, the later ones when the first one took the file."""
        began, asset_id = time.monotonic(), f"asset_{number:05d}"
        source = self._place(case, asset_id)
        probe = await self.run("probe", source, case.filename, asset_id, {})
        endings = [probe]
        if probe.outputs is not None:
            inputs = {"probe": probe.outputs}
            endings += [await self.run(step, source, case.filename, asset_id, inputs) for step in STEPS[1:]]
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
