"""The work of a step: how much there is to do, in units that compare between jobs.

The work of a video step is its source pixels x duration: twice the size or twice the length is twice the work. For
audio steps it is the duration.
"""

from typing import Any

from schemas.jobs import Job

_AUDIO_STEPS = frozenset({"audio", "transcribe", "captions", "embed"})
#: Work of packaging audio only, as the size of a picture: 320 x 180.
_AUDIO_ONLY_PX = 57_600.0


def work_of(job: Job, step: str) -> float | None:
    """Work of a step in units that compare between jobs; None before the probe has completed.

    The probe itself, and steps of pipelines without one, cost about the same each time.
    """
    probe = next((other for other in job.steps if other.spec.name == "probe"), None)
    if probe is None or step == "probe":
        return 1.0
    if probe.outputs is None:
        return None
    duration_s = max(float(probe.outputs.get("duration_s") or 0.0), 0.04)
    if step in _AUDIO_STEPS:
        return duration_s
    video: dict[str, Any] | None = probe.outputs.get("video")
    return float(video["width_px"] * video["height_px"] if video else _AUDIO_ONLY_PX) * duration_s
