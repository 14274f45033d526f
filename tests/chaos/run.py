"""One chaos run: `python -m tests.chaos.run --seed 7 --seconds 300 --brokers 1`. Exit code 1 when anything is violated.

Work arrives without pause while processes are killed, stopped and restarted, brokers vanish, disks fill, clocks jump
and garbage lies on every topic, as the seed decides. Then everything must come to rest, and the checker looks at it.
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.chaos import disks, network
from tests.chaos.callers import OPERATOR, OWNERS, VIEWERS
from tests.chaos.checker import ENDED, check
from tests.chaos.client import PATIENCE_S
from tests.chaos.evidence import Evidence, listed, read_disk, read_log, read_logs, read_processes, read_replicas
from tests.chaos.faults import Faults
from tests.chaos.ledger import Ledger
from tests.chaos.load import Load, make_clip
from tests.chaos.owner_rules import decision_times_s
from tests.chaos.readers import dashboards, readers
from tests.chaos.schedule import Allowed, Fault, describe, schedule, uses_bucket
from tests.chaos.sightings import Sightings
from tests.chaos.world import World

#: Until everything must have come to rest: leases end, retries and dispatch deadlines come.
REST_S = 120.0
#: Whose lists are read at the end: all, and each owner's. The suffix names the owner.
_TOKENS = {"": OPERATOR, **{f" {owner}": viewer.token for owner, viewer in zip(OWNERS, VIEWERS, strict=True)}}


@dataclass
class Report:
    """What a run did and found."""

    seed: int
    seconds: float
    brokers: int
    jobs: int = 0
    faults: int = 0
    #: Processes that SIGKILL has ended, brokers among them.
    deaths: int = 0
    #: Seconds from the end of the faults until everything was at rest.
    rest_s: float = 0.0
    #: Longest time from a submission to its row in which a control was alive, seconds.
    slowest_decision_s: float = 0.0
    #: Submissions that control refused.
    refused: int = 0
    violations: list[str] = field(default_factory=list)


async def run(
    folder: Path, report: Report, allowed: Allowed, *, speech: Path | None = None, faults: Sequence[Fault] | None = None
) -> None:
    """Run and check; the report is filled in. `faults`: instead of those that the seed makes."""
    world = World(folder, report.brokers, allowed, bucket=uses_bucket(report.seed))
    ledger, evidence, sightings = Ledger(folder / "ledger.jsonl"), Evidence(), Sightings()
    evidence.ledger, evidence.sightings = ledger.lines, sightings.seen
    # One row of given faults follows the other: a caller may find no replica before all are over.
    patience_s = PATIENCE_S + (report.seconds if faults else 0.0)
    faults = faults or schedule(report.seed, report.seconds, world.nodes.names, allowed)
    report.faults = len(faults)
    _say(f"seed {report.seed}, {report.seconds:.0f} s, {report.brokers} broker(s): {', '.join(describe(faults))}")
    try:
        await world.start()
        load = Load(world, ledger, report.seed, make_clip(folder / "clip.mp4"), patience_s)
        async with dashboards(world.urls, sightings) as boards:
            reading = readers(world.urls, ledger, sightings, report.seed, load.made.jobs)
            async with reading, load.connected(), asyncio.TaskGroup() as group:
                group.create_task(load.run(report.seconds))
                group.create_task(Faults(world, ledger, _say).run(faults))
                if speech is not None:
                    group.create_task(load.standard(speech))
            report.deaths = _deaths(world, faults)
            report.rest_s = await come_to_rest(world, ledger)
            for suffix, token in _TOKENS.items():
                await read_replicas(world.urls, token, suffix, evidence)
            evidence.rebuilt = await world.rebuild_check()
            evidence.dashboards = {name: board.jobs for name, board in boards.items()}
        await _stop_and_look(world, evidence)
    finally:
        await world.stop()
        await world.stop_store_and_log()
        ledger.close()
    read_processes(folder, evidence)
    report.jobs = len(evidence.jobs) + len(evidence.deleted)
    report.refused = sum(bool(row.get("refused")) for row in evidence.jobs.values())
    report.slowest_decision_s = round(max(decision_times_s(evidence).values(), default=0.0), 2)
    report.violations = check(evidence)


def _deaths(world: World, faults: Sequence[Fault]) -> int:
    brokers = sum(fault.kind in ("broker-kill", "broker-down") for fault in faults)
    return brokers + sum(service.ends.count(-signal.SIGKILL) for service in world.services.values())


async def _stop_and_look(world: World, evidence: Evidence) -> None:
    """The log is read when nobody writes it any more."""
    ends = await world.stop()
    evidence.ends = {name: [*world.services[name].ends, code] for name, code in ends.items()}
    await read_log(world.nodes.bootstrap, evidence)
    read_disk(world.folder, world.store, world.logs.values(), evidence)
    if world.bucket is not None:
        evidence.objects += [key async for key in world.bucket.listed()]
    read_logs(world.logs, evidence)


async def come_to_rest(world: World, ledger: Ledger) -> float:
    """Return how long it took until every replica lists every job that was accepted, all ended; REST_S at most."""
    began = time.monotonic()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {OPERATOR}"}) as session:
        quiet = 0
        while quiet < 3 and time.monotonic() - began < REST_S:
            await asyncio.sleep(1.0)
            rests = [await _at_rest(session, url, ledger) for url in world.urls.values()]
            quiet = quiet + 1 if all(rests) else 0
    return time.monotonic() - began


async def _at_rest(session: aiohttp.ClientSession, url: str, ledger: Ledger) -> bool:
    try:
        jobs = await listed(session, url, "jobs")
    except (aiohttp.ClientError, TimeoutError):
        return False
    gone = {
        line["job_id"] for line in ledger.lines if line["what"].startswith(("delete", "clear")) and "job_id" in line
    }
    accepted = {line["job_id"] for line in ledger.lines if line["what"] == "submitted" and line["job_id"]}
    cleared = bool(ledger.count("clear")) or bool(ledger.count("delete-asset"))
    missing = accepted - gone - jobs.keys()
    return (cleared or not missing) and all(job["status"] in ENDED for job in jobs.values())


def _say(text: str) -> None:
    print(text, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=300.0, help="how long faults and work go on")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--speech", type=Path, help="a clip for one job of the default pipeline, models included")
    parser.add_argument("--keep", type=Path, help="where to keep everything; else it goes when nothing is violated")
    return parser.parse_args()


def main() -> int:
    """Run once; 0, or 1 when something was violated."""
    arguments = _arguments()
    mounts = disks.private_mounts()
    allowed = Allowed(mounts, slow_disks=mounts and disks.can_slow(), own_network=network.private_network())
    if not allowed.small_disks:
        _say("no disk is filled: this machine allows no mounts of our own")
    elif not allowed.slow_disks:
        _say("no disk is slowed: this machine cannot mount a file, or not freeze it")
    if not allowed.own_network:
        _say("nothing is cut off: this machine allows no network of our own")
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(arguments.seed, arguments.seconds, arguments.brokers)
    asyncio.run(run(folder, report, allowed, speech=arguments.speech))
    for violation in report.violations:
        _say(f"VIOLATION {violation}")
    _say(json.dumps(vars(report) | {"violations": len(report.violations)}))
    if not report.violations and arguments.keep is None:
        disks.take_away(folder.resolve())
        shutil.rmtree(folder)
    else:
        _say(f"everything is in {folder}; the small disks' content went with their mounts")
    return bool(report.violations)


if __name__ == "__main__":
    sys.exit(main())
