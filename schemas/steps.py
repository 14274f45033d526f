"""The kinds of step there are: found by looking, so that adding one touches no registry."""

import importlib
import pkgutil
from functools import cache

import msgspec

import schemas


class StepKind(msgspec.Struct, frozen=True, kw_only=True):
    """What the rest of the program must know of a step. Each schemas/<step>.py has one, named STEP."""

    #: One word, the same in every folder and on the wire.
    name: str
    #: Default number of attempts that one executor works on at a time.
    slots: int
    #: Whether it waits for, and then has, the executor's whole CPU budget; others run beside it at low priority.
    heavy: bool = False
    #: Whether it takes no time worth a record of its own.
    instant: bool = False
    #: Whether it reads the source and may write files; without, it gets neither a source nor scratch space.
    files: bool = True
    #: Whether it reads the source; without, none is fetched for it.
    source: bool = True


@cache
def step_kinds() -> dict[str, StepKind]:
    """Every step kind by name."""
    modules = (importlib.import_module(f"schemas.{m.name}") for m in pkgutil.iter_modules(schemas.__path__))
    found = [m.STEP for m in modules if isinstance(getattr(m, "STEP", None), StepKind)]
    return {kind.name: kind for kind in sorted(found, key=lambda k: k.name)}
