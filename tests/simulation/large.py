"""Runs with many executors and what goes wrong with them: fairness, losses, gaps, estimates."""

import statistics
import time
from random import Random

from tables.dispatch import explain
from tables.dispatch.values import Rules, StepKey
from tests.simulation.cluster import Cluster, Shape
from tests.simulation.dispatched import Dispatched
from tests.simulation.figure import Figure
from tests.simulation.measures import Result
from tests.simulation.work import JobPlan, media_jobs, plain_jobs, recorded_media

#: Jobs of three owners.
_LOADS = {"large": 100, "middle": 10, "small": 1}
#: Longest that an owner with waiting work may begin nothing, seconds; a control that dies is replaced after 7.
_PAUSE_S = 15.0


def many(executors: int, jobs: int, seed: int, *, quiet: bool = False) -> Result:
    """Jobs of six steps of three owners; 5 % of the executors die, and more goes wrong, unless it is `quiet`."""
    owners = {owner: max(1, jobs * load // sum(_LOADS.values())) for owner, load in _LOADS.items()}
    plans = media_jobs(Random(seed), owners, recorded_media())
    shape = Shape(executors=executors, partitions=48)
    if not quiet:
        shape = Shape(
            executors=executors,
            partitions=48,
            controls=2,
            control_kills=1,
            deaths=0.05,
            joins=0.02,
            drains=0.02,
            reports_lost=0.01,
            reports_late=0.01,
        )
    return Cluster(shape, plans, seed).run()


def gaps(seed: int) -> Figure:
    """A slot becomes free -> the next attempt begins."""
    result = many(100, 2_000, seed, quiet=True)
    p50, p99 = result.gap_p50_s * 1000, result.gap_p99_s * 1000
    what = "slot free -> next attempt begins (the network's share)"
    measured = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    return Figure(what, measured, "100 executors", "p50 <= 15, p99 <= 100 ms", max(p50 / 15, p99 / 100))


def fleet(executors: int, jobs: int, seed: int) -> list[Figure]:
    """The figures of one run in which much goes wrong."""
    began_s = time.process_time()
    result = many(executors, jobs, seed)
    cpu_s = time.process_time() - began_s
    name = f"{executors:,} executors, {jobs:,} jobs:"
    pause_s = max(result.longest_pause_s.values())
    wrong = (result.lost, result.double_runs, result.published_twice)
    again = f"{result.begun_again} begun again"
    return [
        Figure(f"{name} lost, run twice at a time, published twice", f"{wrong}", again, "0, 0, 0", 2.0 * any(wrong)),
        Figure(
            f"{name} fairness of three owners (Jain)",
            f"{result.jain:.3f}",
            "loads 100:10:1",
            ">= 0.95",
            0.95 / result.jain,
        ),
        Figure(
            f"{name} an owner that waits begins nothing for",
            f"{pause_s:.1f} s",
            "one takeover of 7 s",
            f"<= {_PAUSE_S:.0f} s",
            pause_s / _PAUSE_S,
        ),
        Figure(
            f"{name} CPU time of the simulation", f"{cpu_s:.0f} s", f"{result.events:,} events", "<= 600 s", cpu_s / 600
        ),
    ]


def weighted(seed: int) -> Figure:
    """Owners of equal loads of long work whose weights are 100:10:1."""
    weights, random, plans = {"large": 100.0, "middle": 10.0, "small": 1.0}, Random(seed), list[JobPlan]()
    for owner in weights:
        lengths_s = [random.lognormvariate(3.0, 0.5) for _ in range(2_000)]
        plans += plain_jobs(lengths_s, owner=owner, first=len(plans), step="transcode")
    jain = Cluster(Shape(executors=8, rules=Rules(weights=weights)), plans, seed).run().jain
    what = "fairness per weight (Jain), weights 100:10:1, equal loads"
    return Figure(what, f"{jain:.3f}", "8 executors", ">= 0.95", 0.95 / jain)


def estimates(seed: int) -> Figure:
    """What people were told of waiting steps, against when these were done."""
    plans = media_jobs(Random(seed), {"a": 600, "b": 300}, recorded_media())
    cluster, random = Cluster(Shape(executors=8), plans, seed), Random(seed)
    estimated: dict[StepKey, tuple[float, float]] = {}

    def ask() -> None:
        assert isinstance(cluster.placement, Dispatched) and cluster.placement.dispatcher is not None
        ledger, now = cluster.placement.dispatcher.ledger, cluster.engine.now
        waiting = [key for key, attempt in ledger.attempts.items() if attempt.state == "waiting"]
        for key in random.sample(waiting, min(20, len(waiting))):
            eta_s = explain.eta_s(ledger, key, now)
            if eta_s is not None:
                estimated.setdefault(key, (now, now + eta_s))
        cluster.engine.at(now + 60.0, ask)

    cluster.engine.at(60.0, ask)
    cluster.run()
    done_at = cluster.measures.published_at
    errors = [abs(eta - done_at[key]) / (done_at[key] - now) for key, (now, eta) in estimated.items()]
    tenths = statistics.quantiles(errors, n=10)
    what = "ETA of waiting steps: error as a share of the time left (half, nine in ten below)"
    return Figure(what, f"{tenths[4]:.2f}, {tenths[8]:.2f}", f"8 executors, n={len(errors)}", "")
