"""Warnings of a job and of its asset, pure: what a finished ladder lacks, and why.

They follow from the rows, so a repeated event gives the same ones, and rows of older versions have them too.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

import msgspec

from schemas.base import OutputWarning, StepWarning
from schemas.jobs import Asset, Job, Step
from tables.bounds import MAX_CODE_BYTES, MAX_WARNING_BYTES, MAX_WARNINGS, clipped


def job_warnings(job: Job) -> tuple[StepWarning, ...]:
    """Steps that are missing, then defects in the outputs of the others; at most MAX_WARNINGS.

    Of a job that has not ended: those so far.
    """
    if all(step.status == "completed" and "warnings" not in (step.outputs or ()) for step in job.steps):
        return ()
    defects = (_defects(step.spec.name, step.outputs) for step in job.steps)
    return _first((warning for _, warning in missing_steps(job)), *defects)


def asset_warnings(asset: Asset) -> tuple[StepWarning, ...]:
    """As `job_warnings`, by the newest outcome of each step over all completed jobs of the asset."""
    if not asset.missing and all("warnings" not in outputs for outputs in asset.outputs.values()):
        return ()
    missing = (
        StepWarning(step=name, code=step.code, message=step.message)
        for name, step in asset.missing.items()
        if step.at > asset.published_at.get(name, -1.0)
    )
    return _first(missing, *(_defects(name, outputs) for name, outputs in asset.outputs.items()))


def _first(*warnings: Iterator[StepWarning]) -> tuple[StepWarning, ...]:
    return tuple(islice(chain.from_iterable(warnings), MAX_WARNINGS))


def is_incomplete(job: Job) -> bool:
    """Whether the job completed without steps that a retry would try again."""
    return job.status == "completed" and next(missing_steps(job), None) is not None


def missing_steps(job: Job) -> Iterator[tuple[Step, StepWarning]]:
    """The optional steps that failed for good, and the steps that were skipped because of them."""
    failed = {f"{s.spec.name}-failed": s.spec.name for s in job.steps if s.status == "failed" and s.spec.optional}
    for step in job.steps:
        if step.status == "failed" and step.spec.optional and step.error is not None:
            yield step, _warning(step.spec.name, step.error)
        elif step.status == "skipped" and step.reason in failed:
            cause = f"Skipped because {failed[step.reason]} failed."
            yield step, StepWarning(step=step.spec.name, code=step.reason, message=cause)


def _defects(step: str, outputs: Mapping[str, Any] | None) -> Iterator[StepWarning]:
    """The `warnings` in a step's outputs. Executors of any version write them: an entry of another form is ignored."""
    entries = (outputs or {}).get("warnings")
    if not isinstance(entries, list):
        return
    for entry in entries:
        try:
            yield _warning(step, msgspec.convert(entry, OutputWarning))
        except msgspec.ValidationError:
            continue


def _warning(step: str, source: Any) -> StepWarning:
    """A bounded copy of an error or of a defect."""
    return StepWarning(
        step=step,
        code=clipped(source.code, MAX_CODE_BYTES),
        message=clipped(source.message, MAX_WARNING_BYTES),
        start_ms=getattr(source, "start_ms", None),
        end_ms=getattr(source, "end_ms", None),
    )
