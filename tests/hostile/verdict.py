"""What must hold whatever a file is: looked at from outside, with nothing of what made it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from processors.errors import InvalidMedia, ProcessingError, ToolMisbehaved
from tests.e2e.system import processes_naming
from tests.hostile.cases import Bait
from tests.hostile.pipeline import Line, Outcome
from tests.steps import Ending

_SENTENCE_CHARS = 400
#: Longest that a step of a case may take, everything around it included.
_STEP_S = 150.0
#: From the reference of a step's duration to that of what it made.
_SLACK_S = 0.5


#: A tool that the machine was too busy for; it may be tried again as often as the step's policy says.
_MACHINE = "tool-timed-out"


def input_codes() -> frozenset[str]:
    """The codes that such files may end with: the file is at fault, or a tool that it crashed."""
    kinds: list[type[ProcessingError]] = [InvalidMedia]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    kinds.append(ToolMisbehaved)
    return frozenset(kind.code for kind in kinds)


async def violations(outcome: Outcome, line: Line, bait: Bait) -> AsyncIterator[str]:
    """What does not hold; nothing when all is well."""
    for ending in outcome.endings:
        for wrong in _wrong_error(ending, outcome):
            yield f"{ending.step}: {wrong}"
    for wrong in (*_leaks(outcome, line, bait), *_leftovers(outcome, line)):
        yield wrong
    for ending in outcome.endings:
        if ending.outputs is not None:
            async for wrong in _unplayable(ending, line):
                yield f"{ending.step}: {wrong}"


def _wrong_error(ending: Ending, outcome: Outcome) -> Iterator[str]:
    if ending.error is None:
        return
    code, message = ending.error.code, ending.error.message
    if code == _MACHINE:
        return
    if code not in (outcome.case.codes or input_codes()):
        yield f"{code} is not what such a file must end with: {message} ({(ending.error.detail or '')[-300:]})"
    if ending.error.retriable:
        yield f"{code} would be tried again: {message}"
    if not message.endswith(".") or len(message) > _SENTENCE_CHARS or not message.isprintable():
        yield f"no sentence for people: {message[:_SENTENCE_CHARS]!r}"


def _leaks(outcome: Outcome, line: Line, bait: Bait) -> Iterator[str]:
    told = json.dumps([msgspec.to_builtins(ending.error) for ending in outcome.endings])
    told += json.dumps([ending.outputs for ending in outcome.endings])
    if bait.secret in told:
        yield "the canary's secret is told in an answer"
    for path in _published(outcome, line):
        if bait.secret.encode() in path.read_bytes():
            yield f"the canary's secret stands in {path.name}"
    if bait.canary.read_text() != bait.secret:
        yield "the canary was changed"


def _leftovers(outcome: Outcome, line: Line) -> Iterator[str]:
    folder = line.scratch.root
    own = [path for path in folder.iterdir() if outcome.asset_id in path.name] if folder.exists() else []
    if own:
        yield f"scratch space is left: {[path.name for path in own]}"
    if processes_naming(f"lease_{outcome.asset_id}/"):
        yield "a process is left"
    done = {ending.step for ending in outcome.endings if ending.outputs is not None}
    standing = {path.parts[len(line.stored.parts) + 2] for path in _published(outcome, line)}
    if not standing <= done:
        yield f"files are published of steps that failed: {standing - done}"
    if outcome.took_s > _STEP_S * len(outcome.endings):
        yield f"it took {outcome.took_s:.0f} s"


def _published(outcome: Outcome, line: Line) -> list[Path]:
    root = line.stored / "assets" / outcome.asset_id
    return [Path(parent, name) for parent, _, names in os.walk(root) for name in names]


async def _unplayable(ending: Ending, line: Line) -> AsyncIterator[str]:
    """What a player would stumble over in the files of a step that completed."""
    outputs = ending.outputs or {}
    pictures = [*outputs.get("thumbnails", ()), *outputs.get("sprites", ())]
    pictures += [outputs["poster"]] if ending.step == "thumbnails" else []
    timed = {"transcode": ("master",), "audio": ("audio", "speech")}.get(ending.step, ())
    for key in pictures:
        said, _ = await _played(line.stored / key)
        if said:
            yield f"{Path(key).name} is no picture: {said[-300:]}"
    for name in timed:
        said, lasts_s = await _played(line.stored / outputs[name])
        if said or abs(lasts_s - outputs["duration_s"]) > _SLACK_S:
            yield f"{name} plays {lasts_s} s of {outputs['duration_s']} s: {said[-300:]}"


async def _played(path: Path) -> tuple[str, float]:
    """What ffmpeg complains about when it decodes all of a file, and how long it lasts."""
    argv = (
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-threads",
        "1",
        "-progress",
        "pipe:1",
        "-i",
        str(path),
        "-f",
        "null",
        "-",
    )
    pipe = asyncio.subprocess.PIPE
    player = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
    shown, said = await asyncio.wait_for(player.communicate(), 60)
    times = [line.partition(b"=")[2] for line in shown.splitlines() if line.startswith(b"out_time_us=")]
    lasts_s = int(times[-1]) / 1_000_000 if times and times[-1].strip().isdigit() else 0.0
    complaint = said.decode(errors="replace")
    return complaint or ("" if player.returncode == 0 else f"ended with {player.returncode}"), lasts_s
