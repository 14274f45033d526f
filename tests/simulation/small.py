"""Runs on a few executors: spreading, mixed lengths, one job behind many, light work beside heavy."""

import json
import statistics
from collections.abc import Sequence
from heapq import heapify, heapreplace
from random import Random
from typing import NamedTuple

from tests.bench.figures import spread
from tests.simulation.cluster import SUBMIT_FROM_S, Cluster, Shape
from tests.simulation.figure import Figure
from tests.simulation.work import RECORDED, STANDARD, JobPlan, plain_jobs, recorded_media

JOB_S = 2.0
_ONE_SLOT = {"probe": 1}
#: Runs by hash that are averaged: where the jobs fall is chance.
_DRAWS = 20
#: A film is so many times as long as the longest recorded clip.
_LONGER = 60.0
#: When the memo is uploaded: the film has long been probed.
_LATER_S = 120.0


class Calibration(NamedTuple):
    """A real run by hash, and the same run simulated."""

    executors: int
    partitions: int
    jobs: int
    real_s: float
    simulated_s: float

    @property
    def error(self) -> float:
        """Of the simulation, as a share."""
        return self.simulated_s / self.real_s - 1.0


def calibrations() -> list[Calibration]:
    """Each recorded run by hash, simulated with the same jobs on the same partitions."""
    found = []
    for run in json.loads((RECORDED / "hashed_runs.json").read_text())["runs"]:
        plans = plain_jobs(run["job_s"] for _ in run["placed"])
        plans = [plan._replace(partition=placed) for plan, placed in zip(plans, run["placed"], strict=True)]
        shape = Shape(executors=run["executors"], partitions=run["partitions"], slots=_ONE_SLOT, hashed=True)
        result = Cluster(shape, plans, seed=1).run()
        found.append(Calibration(shape.executors, shape.partitions, result.jobs, run["makespan_s"], result.makespan_s))
    return found


def calibration() -> Figure:
    """How far the simulation is from the recorded runs."""
    errors = [abs(calibration.error) * 100 for calibration in calibrations()]
    what = "makespans of recorded runs by hash, simulated: error"
    return Figure(what, f"{max(errors):.1f} %", spread(errors, " %"), "<= 10 %", max(errors) / 10)


def makespan_ratio(executors: int, jobs: int, seed: int, *, hashed: bool = False, partitions: int = 8) -> float:
    """Makespan / ideal of equal jobs; their hash places them differently for each seed."""
    plans = plain_jobs([JOB_S] * jobs, first=seed * 10_000)
    shape = Shape(executors=executors, partitions=partitions, slots=_ONE_SLOT, hashed=hashed)
    return Cluster(shape, plans, seed).run().makespan_s / (-(-jobs // executors) * JOB_S)


def makespans(seed: int) -> list[Figure]:
    """Equal jobs on few executors: by the dispatcher, and by hash."""
    shapes = [(executors, times * executors) for executors in (2, 4, 8) for times in (1, 2, 4, 10)]
    given = [makespan_ratio(executors, jobs, seed) for executors, jobs in shapes]
    few = makespan_ratio(6, 24, seed, partitions=2)
    what = "N equal jobs on E executors, makespan / ideal (E 2, 4, 8; N = 1, 2, 4, 10 E)"
    figures = [_ratio(what, given, 1.1), _ratio("24 jobs on 6 executors, 2 partitions", [few], 1.1)]
    for executors, jobs, partitions in ((4, 4, 8), (4, 8, 8), (4, 16, 8), (2, 10, 8), (6, 24, 2)):
        draws = range(seed, seed + _DRAWS)
        ratios = [makespan_ratio(executors, jobs, draw, hashed=True, partitions=partitions) for draw in draws]
        what = f"before, by hash: {jobs} jobs on {executors} executors, {partitions} partitions (mean)"
        mean = statistics.mean(ratios)
        figures.append(Figure(what, f"{mean:.2f}", spread(ratios), "<= 1.1", mean / 1.1))
    return figures


def mixed_lengths(seed: int) -> Figure:
    """Jobs of mixed lengths, against greedy list scheduling of the same order."""
    ratios = []
    for executors in (2, 4, 8):
        random = Random(seed)
        plans = plain_jobs([random.lognormvariate(0.5, 0.8) for _ in range(10 * executors)])
        result = Cluster(Shape(executors=executors, slots=_ONE_SLOT), plans, seed).run()
        ratios.append(result.makespan_s / _greedy_s(plans, executors))
    return _ratio("mixed lengths, makespan / greedy list scheduling", ratios, 1.15)


def _greedy_s(plans: Sequence[JobPlan], executors: int) -> float:
    """Makespan when each job begins on the executor that is free first."""
    free_at = [0.0] * executors
    heapify(free_at)
    for plan in plans:
        heapreplace(free_at, free_at[0] + plan.takes_s["probe"])
    return max(free_at)


def single_job(seed: int) -> Figure:
    """One owner's single job behind 1,000 of another: turns until it begins."""
    single = plain_jobs([JOB_S], owner="single", at=5.0, first=1000)
    cluster = Cluster(Shape(executors=4, slots=_ONE_SLOT), [*plain_jobs([JOB_S] * 1000, owner="crowd"), *single], seed)
    cluster.run()
    turns = (cluster.measures.ended_at[single[0].id] - SUBMIT_FROM_S - single[0].at) / JOB_S - 1.0
    what = "one job of a second owner behind 1,000 of the first begins after"
    return Figure(what, f"{turns:.2f} turns", "4 executors", "<= 1 turn", turns)


def memo_behind_film(seed: int) -> list[Figure]:
    """A voice memo that is uploaded while one machine works on a film: seconds until it is done."""
    memo, clip = (
        min(recorded_media(), key=lambda file: file.duration_s),
        max(recorded_media(), key=lambda file: file.pixels * file.duration_s),
    )
    film = clip._replace(duration_s=clip.duration_s * _LONGER, steps_s=_times(clip.steps_s, _LONGER))
    alone_s = memo.steps_s["probe"] + max(memo.steps_s["transcode"], memo.steps_s["audio"] + memo.steps_s["transcribe"])
    figures = []
    for name, hashed in (("", False), ("before, by hash: ", True)):
        plans = [
            JobPlan(at, n, None, "normal", STANDARD, m.steps_s, m)
            for n, (at, m) in enumerate(((0.0, film), (_LATER_S, memo)))
        ]
        cluster = Cluster(Shape(executors=1, hashed=hashed), plans, seed)
        cluster.run()
        took_s = cluster.measures.ended_at[plans[1].id] - SUBMIT_FROM_S - plans[1].at
        what = f"{name}a 6 s memo uploaded while one machine works on a film is done after"
        figures.append(Figure(what, f"{took_s:.1f} s", f"alone {alone_s:.1f} s", "<= 3 x alone", took_s / alone_s / 3))
    return figures


def _times(steps_s: dict[str, float], factor: float) -> dict[str, float]:
    return {step: took * factor for step, took in steps_s.items()}


def _ratio(what: str, ratios: Sequence[float], bar: float) -> Figure:
    return Figure(what, f"{max(ratios):.3f}", spread(ratios), f"<= {bar}", max(ratios) / bar)
