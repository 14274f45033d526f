"""Pipelines: named DAGs of steps in YAML files, copied into the job when it is submitted."""

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
    """A pipeline is invalid. The message names the file or the pipeline, and the mistake."""

    #: Exit code of a process: invalid configuration.
    exit_code = 2


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long ended jobs are kept. None: the value of the settings."""

    #: Maximum number of jobs; 0: unlimited.
    jobs: int | None = None
    #: Maximum age in seconds since the job's end; 0: unlimited.
    age_s: float | None = None


class PipelineFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a pipeline file."""

    #: Name of the pipeline in submissions.
    name: str
    #: Steps in any order.
    steps: tuple[StepSpec, ...]
    #: Retention of its ended jobs by status: completed, failed, cancelled.
    keep: dict[Literal["completed", "failed", "cancelled"], RetentionRule] = {}


Pipelines = Mapping[str, tuple[StepSpec, ...]]
#: By pipeline and job status.
RetentionRules = Mapping[str, Mapping[str, RetentionRule]]


def load_pipelines(folder: Path) -> Pipelines:
    """Every pipeline of `folder` by name. Raises InvalidPipeline."""
    pipelines = _read_all(folder)
    for pipeline in pipelines:
        _require_bounded(pipeline)
    return {pipeline.name: ordered(pipeline.name, pipeline.steps) for pipeline in pipelines}


def _require_bounded(pipeline: PipelineFile) -> None:
    """Check at the start that a job's row can hold the steps. Raises InvalidPipeline."""
    size_bytes = len(msgspec.json.encode(pipeline.steps))
    if size_bytes > MAX_PIPELINE_BYTES or len(pipeline.steps) > MAX_STEPS:
        raise InvalidPipeline(
            f"pipeline {pipeline.name}: {len(pipeline.steps)} steps with {size_bytes} bytes of JSON; "
            f"at most {MAX_STEPS} steps and {MAX_PIPELINE_BYTES} bytes are allowed"
        )


def load_retention(folder: Path) -> RetentionRules:
    """The retention rules of the pipeline files in `folder`. Raises InvalidPipeline."""
    return {
        pipeline.name: {str(status): rule for status, rule in pipeline.keep.items()} for pipeline in _read_all(folder)
    }


def _read_all(folder: Path) -> list[PipelineFile]:
    return [_read(path) for path in sorted(folder.glob("*.yaml"))]


def _read(path: Path) -> PipelineFile:
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()), PipelineFile)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise InvalidPipeline(f"{path}: {error}") from error


def ordered(name: str, steps: tuple[StepSpec, ...]) -> tuple[StepSpec, ...]:
    """`steps` in topological order, with the traits of their kinds. Raises InvalidPipeline."""
    by_name = {spec.name: spec for spec in steps}
    if not steps or len(by_name) != len(steps):
        raise InvalidPipeline(f"pipeline {name}: must have at least one step, and no step twice")
    _require_known(name, by_name, step_kinds().keys())
    try:
        order = list(TopologicalSorter({spec.name: spec.after for spec in steps}).static_order())
    except CycleError as error:
        raise InvalidPipeline(f"pipeline {name}: `after` has a cycle: {' -> '.join(error.args[1])}") from error
    return tuple(msgspec.structs.replace(by_name[n], instant=step_kinds()[n].instant) for n in order)


def _require_known(name: str, steps: Mapping[str, StepSpec], kinds: Set[str]) -> None:
    for spec in steps.values():
        if spec.name not in kinds:
            raise InvalidPipeline(f"pipeline {name}: unknown step {spec.name!r}. Known steps: {', '.join(kinds)}")
        for other in spec.after:
            if other not in steps:
                raise InvalidPipeline(
                    f"pipeline {name}: {spec.name} runs after {other!r}, which is not a step of this pipeline"
                )
        _require_needs(name, spec)


def _require_needs(name: str, spec: StepSpec) -> None:
    if not {*spec.needs} <= {*spec.after}:
        raise InvalidPipeline(f"pipeline {name}: every step in `needs` of {spec.name} must also be in its `after`")


def require_resolved(name: str, steps: tuple[StepSpec, ...]) -> None:
    """Check the steps of a submitted job, which must be in topological order. Raises InvalidPipeline."""
    seen: set[str] = set()
    for spec in steps:
        if spec.name not in step_kinds() or spec.name in seen or not seen.issuperset(spec.after):
            raise InvalidPipeline(
                f"pipeline {name}: {spec.name} is unknown, listed twice, or listed before a step of its `after`"
            )
        _require_needs(name, spec)
        seen.add(spec.name)
    if not 1 <= len(seen) <= MAX_STEPS:
        raise InvalidPipeline(f"pipeline {name}: {len(seen)} steps; 1 to {MAX_STEPS} are allowed")
