"""Which executor runs which steps."""

import json
from typing import Any

import pytest

from agents.executor.identity import claim
from agents.executor.lanes import processor_of, slots_of, steps_of
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from schemas.steps import step_kinds
from streams.process.locks import NameTaken
from streams.settings import Settings, SettingsError, load
from tests.conftest import MakeSettings


def with_lanes(slots: dict[str, int] | None = None, **lanes: list[str]) -> Settings:
    return load({"KINOLOG_EXECUTOR__LANES": json.dumps(lanes), "KINOLOG_EXECUTOR__SLOTS": json.dumps(slots or {})})


def names_of(settings: Settings, lane: str) -> set[str]:
    return {kind.name for kind in steps_of(settings, lane)}


def test_without_lanes_one_executor_runs_every_step() -> None:
    assert names_of(Settings(), "default") == set(step_kinds())


def test_a_lane_takes_its_steps_away_from_the_default() -> None:
    settings = with_lanes(video=["transcode", "thumbnails"])
    assert names_of(settings, "video") == {"transcode", "thumbnails"}
    assert names_of(settings, "default") == set(step_kinds()) - {"transcode", "thumbnails"}


@pytest.mark.parametrize(
    "settings, lane",
    [(with_lanes(), "gpu"), (with_lanes(gpu=["dance"]), "gpu"), (with_lanes({"dance": 1}), "default")],
)
def test_a_lane_or_step_that_is_not_there_is_refused(settings: Settings, lane: str) -> None:
    with pytest.raises(SettingsError, match="unknown"):
        steps_of(settings, lane)


def test_slots_come_from_the_settings_or_the_step() -> None:
    noop = step_kinds()["noop"]
    assert slots_of(Settings(), noop) == noop.slots
    assert slots_of(with_lanes({"noop": 3}), noop) == 3
    assert slots_of(with_lanes({"noop": 0}), noop) == 1


@pytest.mark.parametrize("step", sorted(step_kinds()))
def test_every_step_has_something_that_runs_it(step: str) -> None:
    processor: Any = processor_of(step_kinds()[step], Runner(Limits()), Settings())
    assert callable(processor.process)


def test_two_executors_of_one_machine_have_names_of_their_own(make_settings: MakeSettings) -> None:
    settings = make_settings()
    first, second = claim(settings, "default"), claim(settings, "default")
    assert (first.name, second.name) == ("default-1", "default-2")
    assert first.instance_id != second.instance_id
    first.lock.close()
    third = claim(settings, "default")
    assert third.name == "default-1"
    second.lock.close()
    third.lock.close()


def test_a_chosen_name_is_given_to_one_process_only(make_settings: MakeSettings) -> None:
    settings = make_settings(KINOLOG_EXECUTOR__NAME="pod-0")
    held = claim(settings, "default")
    assert (held.name, held.instance_id) == ("pod-0", "kinolog-exec-pod-0")
    with pytest.raises(NameTaken):
        claim(settings, "default")
    held.lock.close()


def test_the_steps_that_run_tools_are_marked_so_that_their_executors_require_a_sandbox() -> None:
    runner, settings = Runner(Limits()), Settings()
    processors = {kind: processor_of(kind, runner, settings) for kind in step_kinds().values()}
    with_runner = {kind.name for kind, processor in processors.items() if _has(processor, runner)}
    assert with_runner == {kind.name for kind in processors if kind.tools} >= {"probe", "transcode"}


def _has(processor: Any, runner: Runner) -> bool:
    return any(value is runner for value in vars(processor).values())
