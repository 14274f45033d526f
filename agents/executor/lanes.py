"""Lanes: the steps that an executor runs, and their processors. Steps are discovered, not registered."""

import importlib

from processors.contract import Processor
from processors.tools.runner import Runner
from schemas.steps import StepKind, step_kinds
from streams.settings import Settings, SettingsError

DEFAULT_LANE = "default"


def steps_of(settings: Settings, lane: str) -> list[StepKind]:
    """The lane's steps. Raises SettingsError for an unknown lane or step."""
    lanes, kinds = settings.executor.lanes, step_kinds()
    named = {step for steps in lanes.values() for step in steps}
    for step in named | settings.executor.slots.keys():
        if step not in kinds:
            raise SettingsError(f"KINOLOG_EXECUTOR: unknown step {step!r}. Known steps: {', '.join(kinds)}")
    if lane not in (DEFAULT_LANE, *lanes):
        raise SettingsError(
            f"KINOLOG_EXECUTOR__LANES: unknown lane {lane!r}. Known lanes: {', '.join((DEFAULT_LANE, *lanes))}"
        )
    # "default" runs the steps that no other lane names, and those that it names itself.
    steps = lanes.get(lane, ()) if lane != DEFAULT_LANE else [*(kinds.keys() - named), *lanes.get(DEFAULT_LANE, ())]
    return [kind for kind in kinds.values() if kind.name in steps]


def slots_of(settings: Settings, kind: StepKind) -> int:
    """Attempts of this step that one executor runs at a time, at least 1."""
    return max(1, settings.executor.slots.get(kind.name, kind.slots))


def processor_of(kind: StepKind, runner: Runner, settings: Settings) -> Processor:
    """The step's processor, by `make` of agents/<step>.py. Raises SettingsError, ProfileError."""
    processor: Processor = importlib.import_module(f"agents.{kind.name}").make(runner, settings)
    return processor
