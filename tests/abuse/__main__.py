"""One token abuses a replica for a while: `python -m tests.abuse [--seconds 240] [--sockets 10000]`; prints JSON.

The bars: another owner's p99 is at most twice that of a quiet replica, and web takes at most 512 MB.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time

import uvloop

from tests.abuse.measure import Abused, abused_replica, quantiles_ms

_SAMPLE_S = 1.0
_QUIET_S = 10.0
#: In which the attacker has opened its sockets.
_OPENING_S = 120.0


async def _peak_mb(replica: Abused, peak: list[float]) -> None:
    while True:
        peak[0] = max(peak[0], replica.memory_mb())
        await asyncio.sleep(_SAMPLE_S)


def _attacker(url: str, sockets: int, only: str) -> subprocess.Popen[str]:
    """The attacks, in a process of their own: the other owner's waits are measured here.

    It stands for other machines, so it gets the processor time that web and this process leave.
    """
    command = [
        "nice",
        "-n",
        "19",
        sys.executable,
        "-m",
        "tests.abuse.attacker",
        url,
        "--sockets",
        str(sockets),
        "--only",
        only,
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def abuse(replica: Abused, target: str, options: argparse.Namespace) -> dict[str, object]:
    """Figures of `replica` in a quiet period, and while the replica at the URL `target` is abused."""
    seconds, address = options.seconds, options.address
    await replica.others_wait_s(3.0, address)  # it warms up
    quiet, _ = await replica.others_wait_s(_QUIET_S, address)
    before_mb, peak = replica.memory_mb(), [0.0]
    sampling = asyncio.create_task(_peak_mb(replica, peak))
    began_cpu = replica.cpu_s()
    attacker, began = _attacker(target, options.sockets, options.only), time.monotonic()
    assert attacker.stdout is not None
    opened = asyncio.create_task(asyncio.to_thread(attacker.stdout.readline))
    opening, wrong = await replica.others_wait_s(_OPENING_S, address, opened)
    settled, more_wrong = await replica.others_wait_s(seconds, address)
    wrong += more_wrong
    cpu = (replica.cpu_s() - began_cpu) / (time.monotonic() - began)
    outcomes, _ = await asyncio.to_thread(attacker.communicate, "")
    sampling.cancel()
    await asyncio.sleep(5.0)
    return {
        "sockets": options.sockets,
        "seconds": seconds,
        "quiet_ms": quantiles_ms(quiet),
        "abused_ms": quantiles_ms(opening + settled),
        "while_sockets_open_ms": quantiles_ms(opening),
        "afterwards_ms": quantiles_ms(settled),
        "others_refused": len(wrong),
        "examples": wrong[:5],
        "web_mb": {"before": before_mb, "peak": peak[0], "after": replica.memory_mb()},
        "web_cores": round(cpu, 2),
        "outcomes": json.loads(outcomes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=240.0, help="After all sockets are open.")
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=3_000)
    parser.add_argument("--only", default="", help="Names of attacks, separated by commas.")
    parser.add_argument(
        "--neighbour",
        action="store_true",
        help="Abuse a second replica on this machine: shows what the shared processors alone cost.",
    )
    parser.add_argument("--address", default="127.0.0.2", help="Of the other owner; the abuser has 127.0.1.0/24.")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with abused_replica(options.jobs) as replica, abused_replica(options.jobs) as neighbour:
        target = neighbour.url if options.neighbour else replica.url
        print(json.dumps(uvloop.run(abuse(replica, target, options)), indent=1))


if __name__ == "__main__":
    main()
