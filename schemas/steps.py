"""Step kinds, discovered by module: a new step needs no registration."""

import importlib
import pkgutil
from functools import cache

import msgspec

import schemas


class StepKind(msgspec.Struct, frozen=True, kw_only=True):
    """Properties of a step that executors and control need. Each schemas/<step>.py has one, named STEP."""

    #: One word, the same in every folder and on the wire.
    name: str
    #: Default number of concurrent attempts per executor.
    slots: int
    #: Waits for the executor's whole CPU budget; other steps run at low priority meanwhile.
    heavy: bool = False
    #: Its attempts share one model, which serves one at a time.
    one_model: bool = False
    #: Takes no time: many requests share one record.
    instant: bool = False
    #: Reads or writes files; otherwise it gets neither a source nor scratch space.
    files: bool = True
    #: Runs ffmpeg or ffprobe, and so needs a sandbox.
    tools: bool = False
    #: Reads the source; otherwise the source is not fetched.
    source: bool = True


@cache
def step_kinds() -> dict[str, StepKind]:
    """Every step kind by name."""
    modules = (importlib.import_module(f"schemas.{m.name}") for m in pkgutil.iter_modules(schemas.__path__))
    found = [m.STEP for m in modules if isinstance(getattr(m, "STEP", None), StepKind)]
    return {kind.name: kind for kind in sorted(found, key=lambda k: k.name)}
