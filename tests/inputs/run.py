"""Makes inputs, puts them through the pipeline and has them judged, two at a time."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from processors.tools.sandbox import Sandbox
from tests.inputs.expected import Input
from tests.inputs.judges.bench import judged
from tests.inputs.judges.findings import Finding
from tests.inputs.observe import observe
from tests.inputs.pipeline import Pipeline
from tests.inputs.workshop import Workshop
from tests.steps import Ending

_AT_A_TIME = 2


@dataclass(frozen=True, kw_only=True)
class Result:
    """An input that went through."""

    item: Input
    endings: Mapping[str, Ending]
    findings: tuple[Finding, ...]
    #: Seconds to make it, to process it, to judge it.
    took_s: tuple[float, float, float]

    @property
    def passed(self) -> bool:
        """Whether every finding holds."""
        return bool(self.findings) and all(finding.holds for finding in self.findings)

    @property
    def outcome(self) -> str:
        """The outcome for a user, in a few words."""
        wrong = [f"{step} {ending.code}" for step, ending in self.endings.items() if ending.error]
        if self.endings["probe"].error:
            return f"refused: {self.endings['probe'].code}"
        plays = self.endings["transcode"].outputs is not None
        return ", ".join(["plays" if plays else "does not play", *wrong])


async def run(folder: Path, sandbox: Sandbox, items: Sequence[Input]) -> AsyncIterator[Result]:
    """Every input's result, as they come. `folder` is empty and readable for all."""
    pipeline = Pipeline(folder, sandbox)
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def process(number: int, item: Input) -> Result:
        async with gate:
            return await _result(pipeline, item, folder / f"made-{number:03d}", f"asset_{number:03d}")

    try:
        for result in asyncio.as_completed([process(number, item) for number, item in enumerate(items)]):
            yield await result
    finally:
        await pipeline.close()


async def _result(pipeline: Pipeline, item: Input, folder: Path, asset_id: str) -> Result:
    began = time.monotonic()
    folder.mkdir()
    path = await asyncio.to_thread(item.make, Workshop(folder))
    made_s = time.monotonic() - began
    endings = await pipeline.process(item, path, asset_id)
    done_s = time.monotonic() - began
    observed = await asyncio.to_thread(observe, pipeline.stored, endings)
    findings = tuple(judged(item.expected, observed))
    for used in (folder, pipeline.stored / "assets" / asset_id):
        await asyncio.to_thread(shutil.rmtree, used, ignore_errors=True)
    took_s = (made_s, done_s - made_s, time.monotonic() - began - done_s)
    return Result(item=item, endings=endings, findings=findings, took_s=took_s)
