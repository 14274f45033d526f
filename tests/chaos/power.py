"""Power cuts of a whole system: `python -m tests.chaos.power [--cuts 20] [--seed 1] [--brokers 3]`.

`kinolog up` on a disk of its own, under load. All of its processes are stopped at one moment, what is not synced is
dropped, and it is started again. Then every job that was acknowledged must be there and end, its uploaded bytes
complete, and a cancel must still be obeyed. With three brokers: one of them at a time, among the load of the chaos
runs and with their checker. Exit code 0, or 1 with a line for each violation. Each run adds its row to docs/power.md.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.chaos.disks import private_mounts, take_away
from tests.chaos.nodes import ThreeNodes
from tests.chaos.run import Report
from tests.chaos.run import run as chaos_run
from tests.chaos.schedule import Allowed, power_cuts
from tests.chaos.tally import POWER, note
from tests.e2e.system import Api, System
from tests.power_cut import Disk, can_cut

_DISK_MB = 1500
_UPLOAD_BYTES = 60_000
_CLIENTS = 8
#: Until every job has ended after a restart: leases of lost attempts expire first.
_ENDS_S = 150.0
#: Requests that an executor accepts after a lost one of their partition show that it is lost.
_LATER_JOBS = 60
#: Nothing but power cuts.
_POWER = Allowed(small_disks=False, slow_disks=False, own_network=False, power=True)
#: Work goes on for so long after the last cut, seconds.
_AFTER_S = 15.0
#: Short leases, and a start that hangs leaves its stacks in the log before it is given up here.
_LEASES = {"KINOLOG_LEASE__TTL_S": "4", "KINOLOG_LEASE__HEARTBEAT_S": "1", "KINOLOG_WATCHDOG__START_S": "60"}


@dataclass
class Ledger:
    """What was acknowledged, and what is wrong about it."""

    #: Job id -> key of its uploaded object, if it has one.
    jobs: dict[str, str | None] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


async def _submit_forever(api: Api, ledger: Ledger, chance: random.Random) -> None:
    """One client: uploads and jobs without one, until the power goes."""
    while True:
        if chance.random() < 0.5:
            async with api.session.post(
                "/v1/uploads", params={"filename": "a.mp4", "pipeline": "noop"}, data=b"k" * _UPLOAD_BYTES
            ) as answer:
                body = await answer.json()
            if answer.status == 201:
                ledger.jobs[body["data"]["job_id"]] = f"uploads/{body['data']['asset_id']}/source"
        else:
            status, body = await api.post("/v1/assets", {"input": {"object": "none"}, "pipeline": "noop"})
            if status == 202:
                ledger.jobs[body["data"]["job_id"]] = None


async def _load(system: System, ledger: Ledger, seconds: float, chance: random.Random) -> None:
    """Clients until a moment under load, at which every process of the system is stopped."""
    async with system.client() as api:
        clients = [asyncio.create_task(_submit_forever(api, ledger, chance)) for _ in range(_CLIENTS)]
        await asyncio.sleep(seconds)
        for pid in _family(system.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


def _family(pid: int) -> list[int]:
    """A process and its descendants, parents first."""
    family = [pid]
    for one in family:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                family += [int(child) for child in task.read_text().split()]
    return family


def _cut(system: System, disk: Disk) -> None:
    """Take the power away from the stopped processes, and bring the disk back."""
    family = _family(system.process.pid)
    disk.cut()
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    system.process.wait()
    disk.unplug()
    disk.plug_in()


async def _examine(system: System, ledger: Ledger) -> None:
    """Compare the started system with the ledger."""
    deadline = time.monotonic() + _ENDS_S
    async with system.client() as api:
        for _ in range(_LATER_JOBS):
            await api.post("/v1/assets", {"input": {"object": "none"}, "pipeline": "noop"})
        for job_id, key in ledger.jobs.items():
            try:
                job = await api.ended(job_id, max(deadline - time.monotonic(), 1.0))
            except AssertionError as error:
                ledger.violations.append(f"job lost or stuck: {error}"[:1200])
                continue
            if job["status"] != "completed":
                ledger.violations.append(f"{job_id} is {job['status']}: {json.dumps(job)[:400]}")
            if key is not None and (
                not system.stored(key).exists() or system.stored(key).stat().st_size != _UPLOAD_BYTES
            ):
                ledger.violations.append(f"the upload {key} is lost")
            with contextlib.suppress(AssertionError):
                await api.get(f"/v1/assets/{job['asset_id']}")
                continue
            ledger.violations.append(f"the asset of {job_id} is lost")
        await _require_obedience(api, ledger)


async def _require_obedience(api: Api, ledger: Ledger) -> None:
    """Commands count as new, whatever offsets they have: a job that waits can be cancelled."""
    await api.post("/v1/queues/noop/pause")
    try:
        for _ in range(12):  # on several partitions
            _, body = await api.post("/v1/assets", {"input": {"object": "none"}, "pipeline": "noop"})
            job_id = body["data"]["job_id"]
            await api.post(f"/v1/jobs/{job_id}/cancel")
            job = await api.ended(job_id, 60.0)
            if job["status"] != "cancelled":
                ledger.violations.append(f"the cancel of {job_id} was ignored: it is {job['status']}")
    except (AssertionError, aiohttp.ClientError) as error:
        ledger.violations.append(f"a command was ignored: {error}"[:1200])
    await api.post("/v1/queues/noop/resume")


def run(folder: Path, cuts: int, seed: int) -> Iterator[Ledger]:
    """The ledger of each cut."""
    disk, chance = Disk(folder / "image", folder / "disk", _DISK_MB), random.Random(seed)
    try:
        system = System(disk.folder / "data", **_LEASES)
        for number in range(cuts):
            ledger = Ledger()
            asyncio.run(_load(system, ledger, chance.uniform(1.0, 5.0), chance))
            shutil.copy(system.log_path, folder / f"{number}.log")
            _cut(system, disk)
            system = System(disk.folder / "data", **_LEASES)
            asyncio.run(_examine(system, ledger))
            yield ledger
        system.stop()
    finally:
        with contextlib.suppress(Exception):
            system.process.kill()


def _cut_all(folder: Path, cuts: int, seed: int) -> tuple[int, int]:
    """Jobs that were acknowledged, and violations, of cuts of a system with one broker."""
    jobs, violations = 0, 0
    for number, ledger in enumerate(run(folder, cuts, seed), 1):
        jobs, violations = jobs + len(ledger.jobs), violations + len(ledger.violations)
        print(json.dumps({"cut": number, "acknowledged": len(ledger.jobs)}), *ledger.violations, sep="\n  ", flush=True)
    return jobs, violations


def _cut_one_of_three(folder: Path, cuts: int, seed: int) -> tuple[int, int]:
    """Jobs that were acknowledged, and violations, of cuts of one broker of three after the other."""
    odd = seed * 2 + 1  # the store is a folder
    faults = power_cuts(odd, cuts, ThreeNodes.names)
    report = Report(odd, faults[-1].at_s + _AFTER_S, 3)
    asyncio.run(chaos_run(folder, report, _POWER, faults=faults))
    print(*report.violations, sep="\n  ", flush=True)
    return report.jobs, len(report.violations)


def main() -> int:
    """Run; 0, or 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--folder", type=Path, help="where to keep everything, not counted in docs; else it goes")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="power-"))
    if not (private_mounts() and can_cut(folder / "trial")):
        print("this machine cannot mount a disk of our own")
        return 0
    cut = _cut_all if arguments.brokers == 1 else _cut_one_of_three
    jobs, violations = cut(folder, arguments.cuts, arguments.seed)
    if arguments.folder is None:
        counts = {"brokers": arguments.brokers, "seed": arguments.seed, "faults": arguments.cuts}
        note(POWER, **counts, jobs=jobs, violations=violations)
    if arguments.folder is None and not violations:
        take_away(folder.resolve())
        shutil.rmtree(folder)
    else:
        print(f"everything is in {folder}; what was on disks went with their mounts", flush=True)
    print(json.dumps({"cuts": arguments.cuts, "seed": arguments.seed, "acknowledged": jobs, "violations": violations}))
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
