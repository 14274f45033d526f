"""What there is to do: media whose steps took as long as they did in real runs, and the jobs made of them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from schemas.commands import SubmitJob
from schemas.jobs import Input, Priority, StepSpec
from schemas.steps import StepKind, step_kinds

RECORDED = Path(__file__).parent / "recorded"
#: Steps whose work is counted in seconds of media; of others it is pixels x seconds. As in web/pace.py.
_HEARS = frozenset({"audio", "transcribe", "captions", "embed"})
_SOUND_PX = 57_600
#: Spread of the same step on the same file, as a share of its duration.
_NOISE = 0.1


class Media(NamedTuple):
    """One recorded file."""

    name: str
    duration_s: float
    pixels: int
    #: Seconds that each step took.
    steps_s: dict[str, float]

    def size(self, step: str) -> float:
        """What there is to do for the step, in the units of ReadyStep."""
        if step == "probe":
            return 1.0
        return self.duration_s if step in _HEARS else self.duration_s * (self.pixels or _SOUND_PX)


def recorded_media() -> list[Media]:
    """Every file of the real runs."""
    rows = json.loads((RECORDED / "steps.json").read_text())["media"]
    return [Media(row["name"], row["duration_s"], row["pixels"], row["steps_s"]) for row in rows]


#: A job of six steps, two of them heavy: `standard` without `embed`.
STANDARD = (
    StepSpec(name="probe"),
    StepSpec(name="transcode", after=("probe",)),
    StepSpec(name="thumbnails", after=("probe",)),
    StepSpec(name="audio", after=("probe",)),
    StepSpec(name="transcribe", after=("audio",), needs=("audio",)),
    StepSpec(name="captions", after=("transcode", "transcribe"), needs=("transcode", "transcribe")),
)
KINDS: dict[str, StepKind] = step_kinds()


class JobPlan(NamedTuple):
    """A job to be submitted, and how long its steps will take."""

    at: float
    number: int
    owner: str | None
    priority: Priority
    steps: tuple[StepSpec, ...]
    #: Seconds by step.
    takes_s: dict[str, float]
    media: Media | None = None
    #: On which partition its request lay in a recorded run.
    partition: int | None = None

    @property
    def id(self) -> str:
        return f"job_{self.number:07}"

    def command(self) -> SubmitJob:
        """The submission."""
        return SubmitJob(
            job_id=self.id,
            asset_id=f"asset_{self.number:07}",
            pipeline="simulated",
            steps=self.steps,
            input=Input(object="x"),
            submitted_at=self.at,
            priority=self.priority,
            owner=self.owner,
        )

    def size(self, step: str) -> float | None:
        """See Media.size."""
        return self.media.size(step) if self.media is not None else None


def plain_jobs(
    lengths_s: Iterable[float], owner: str | None = None, at: float = 0.0, first: int = 0, step: str = "probe"
) -> list[JobPlan]:
    """Jobs of one step, of these lengths."""
    steps = (StepSpec(name=step),)
    return [JobPlan(at, first + n, owner, "normal", steps, {step: took}) for n, took in enumerate(lengths_s)]


def media_jobs(random: Random, owners: dict[str, int], media: list[Media], spread_s: float = 0.0) -> Iterator[JobPlan]:
    """Jobs of six steps, so many of each owner, submitted over `spread_s` seconds in mixed order."""
    order = [owner for owner, count in owners.items() for _ in range(count)]
    random.shuffle(order)
    for number, owner in enumerate(order):
        file = random.choice(media)
        takes_s = {step: took * random.lognormvariate(0.0, _NOISE) for step, took in file.steps_s.items()}
        yield JobPlan(spread_s * number / len(order), number, owner, "normal", STANDARD, takes_s, file)
