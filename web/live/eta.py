"""How long a step will take: from how long the same step took here, by what there was to do. In memory, from the rows.

Source pixels x duration is what a step on pictures costs: twice the picture or twice the time is twice the work. For
steps that only hear it is the duration.
"""

import statistics
from collections import OrderedDict
from typing import Any

from schemas.jobs import Job, Step

_HEARS = frozenset({"audio", "transcribe", "captions", "embed"})
#: What packaging sound alone costs, as a picture of that size would: 320 x 180.
_SOUND_PX = 57_600.0
#: Latest attempts of a step that count.
_REMEMBERED = 50


class EtaEstimator:
    """Seconds per unit of work, by step. Changed on the event loop only; `left_s` may be read in any thread."""

    def __init__(self) -> None:
        #: By step: seconds per unit, by job and run.
        self._seen: dict[str, OrderedDict[tuple[str, int], float]] = {}
        self._typical: dict[str, float] = {}

    def watch(self, job: Job) -> None:
        """Learn from the steps of the job that are completed."""
        for step in job.steps:
            took_s, work = _took_s(step), work_of(job, step.spec.name)
            if took_s is not None and work is not None:
                self._learn(step.spec.name, (job.id, step.run), took_s / work)

    def left_s(self, job: Job, step: Step, progress: float) -> float | None:
        """Seconds until the step is done, without the wait for an executor; `progress`: 0-1.

        None without history of the step, or while it is not known what there is to do.
        """
        typical, work = self._typical.get(step.spec.name), work_of(job, step.spec.name)
        return None if typical is None or work is None else round(typical * work * (1.0 - progress), 1)

    def clear(self) -> None:
        """Everything was rebuilt from another log."""
        self._seen.clear()
        self._typical.clear()

    def _learn(self, step: str, run: tuple[str, int], unit_s: float) -> None:
        seen = self._seen.setdefault(step, OrderedDict())
        if run in seen:
            return
        seen[run] = unit_s
        if len(seen) > _REMEMBERED:
            seen.popitem(last=False)
        self._typical[step] = statistics.median(seen.values())


def work_of(job: Job, step: str) -> float | None:
    """What there is to do, in units that compare between jobs; None while the probe has not said.

    The probe itself, and pipelines without one, cost about the same each time.
    """
    probe = next((other for other in job.steps if other.spec.name == "probe"), None)
    if probe is None or step == "probe":
        return 1.0
    if probe.outputs is None:
        return None
    duration_s = max(float(probe.outputs.get("duration_s") or 0.0), 0.04)
    if step in _HEARS:
        return duration_s
    video: dict[str, Any] | None = probe.outputs.get("video")
    return float(video["width_px"] * video["height_px"] if video else _SOUND_PX) * duration_s


def _took_s(step: Step) -> float | None:
    """Of a step that was completed at its first try: waits between tries are nobody's pace."""
    if step.status != "completed" or step.attempt != 1 or step.started_at is None or step.finished_at is None:
        return None
    return max(step.finished_at - step.started_at, 0.0)
