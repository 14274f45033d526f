"""Pipelines: named DAGs of steps, data in YAML; resolved into the job when it is submitted."""

from collections.abc import Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from schemas.jobs import StepSpec
from schemas.steps import step_kinds
from tables.bounds import MAX_PIPELINE_BYTES, MAX_STEPS


class InvalidPipeline(Exception):
    """A pipeline file cannot be used; the message names the file and what is wrong."""

    #: What a command line ends with: configuration.
    exit_code = 2


class Keep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long jobs that ended in one way are kept; what is not said is as in the settings."""

    #: At most so many, >= 1; 0: any number.
    jobs: int | None = None
    #: Seconds since the job's end; 0: for ever.
    age_s: float | None = None


class PipelineFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline as it stands in its file."""

    #: Name by which submissions ask for it.
    name: str
    #: In any order.
    steps: tuple[StepSpec, ...]
    #: How long its ended jobs are kept, by how they ended: completed, failed, cancelled.
    keep: dict[Literal["completed", "failed", "cancelled"], Keep] = {}


Pipelines = Mapping[str, tuple[StepSpec, ...]]
#: By pipeline, and how a job ended.
Keeping = Mapping[str, Mapping[str, Keep]]


def load_pipelines(folder: Path) -> Pipelines:
    """Every pipeline of `folder` by name. Raises InvalidPipeline."""
    found = [_read(path) for path in sorted(folder.glob("*.yaml"))]
    for pipeline in found:
        _require_short(pipeline)
    return {pipeline.name: ordered(pipeline.name, pipeline.steps) for pipeline in found}


def _require_short(pipeline: PipelineFile) -> None:
    """Refuse at the start what no job's row could hold later."""
    size_bytes = len(msgspec.json.encode(pipeline.steps))
    if size_bytes > MAX_PIPELINE_BYTES or len(pipeline.steps) > MAX_STEPS:
        raise InvalidPipeline(
            f"pipeline {pipeline.name}: it has {len(pipeline.steps)} steps of {size_bytes} bytes of JSON; "
            f"{MAX_STEPS} steps and {MAX_PIPELINE_BYTES} bytes are allowed"
        )


def load_keeping(folder: Path) -> Keeping:
    """What the pipeline files of `folder` say of retention, by name. Raises InvalidPipeline."""
    found = [_read(path) for path in sorted(folder.glob("*.yaml"))]
    return {pipeline.name: {str(end): kept for end, kept in pipeline.keep.items()} for pipeline in found}


def _read(path: Path) -> PipelineFile:
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()), PipelineFile)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise InvalidPipeline(f"{path}: {error}") from error


def ordered(name: str, steps: tuple[StepSpec, ...]) -> tuple[StepSpec, ...]:
    """`steps`, each behind those it comes after, with the kind's traits. Raises InvalidPipeline."""
    by_name = {spec.name: spec for spec in steps}
    if not steps or len(by_name) != len(steps):
        raise InvalidPipeline(f"pipeline {name}: needs at least one step, and each only once")
    _require_known(name, by_name, step_kinds().keys())
    try:
        order = list(TopologicalSorter({spec.name: spec.after for spec in steps}).static_order())
    except CycleError as error:
        raise InvalidPipeline(f"pipeline {name}: the steps wait for each other in a circle: {error.args[1]}") from error
    return tuple(msgspec.structs.replace(by_name[n], instant=step_kinds()[n].instant) for n in order)


def _require_known(name: str, steps: Mapping[str, StepSpec], kinds: Set[str]) -> None:
    for spec in steps.values():
        if spec.name not in kinds:
            raise InvalidPipeline(f"pipeline {name}: there is no step {spec.name!r}; there are {', '.join(kinds)}")
        for other in spec.after:
            if other not in steps:
                raise InvalidPipeline(f"pipeline {name}: {spec.name} comes after {other!r}, which is not in it")
        _require_needs(name, spec)


def _require_needs(name: str, spec: StepSpec) -> None:
    if not {*spec.needs} <= {*spec.after}:
        raise InvalidPipeline(f"pipeline {name}: {spec.name} needs a step that it does not come after")


def require_resolved(name: str, steps: tuple[StepSpec, ...]) -> None:
    """Accept steps that came over the wire, each behind those it comes after. Raises InvalidPipeline."""
    seen: set[str] = set()
    for spec in steps:
        if spec.name not in step_kinds() or spec.name in seen or not seen.issuperset(spec.after):
            raise InvalidPipeline(
                f"pipeline {name}: {spec.name} is unknown, there twice, or before a step it comes after"
            )
        _require_needs(name, spec)
        seen.add(spec.name)
    if not 1 <= len(seen) <= MAX_STEPS:
        raise InvalidPipeline(f"pipeline {name}: it has {len(seen)} steps, not 1 to {MAX_STEPS}")
