"""The attacks, in a process of their own: `python -m tests.abuse.attacker URL`.

Prints a line once its connections are open, ends with its standard input, and prints the responses to each attack by
status.
"""

import argparse
import asyncio
import json
import sys

import uvloop

from tests.abuse.attacks import ATTACKS
from tests.abuse.sockets import Outcomes


class Attacker:
    """All connections of the attacks on one replica."""

    def __init__(self, url: str) -> None:
        self._url = url
        #: Each attack comes from an address of its own.
        self.outcomes = {attack.name: Outcomes(source=f"127.0.1.{number}") for number, attack in enumerate(ATTACKS, 1)}
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, sockets: int, names: tuple[str, ...] = ()) -> None:
        """Open the connections of all attacks, or of those named, over some seconds."""
        for attack in ATTACKS:
            if names and attack.name not in names:
                continue
            for number in range(max(sockets * attack.share // 100, 1)):
                self._tasks.append(asyncio.create_task(attack.run(self._url, self.outcomes[attack.name])))
                if number % 20 == 0:
                    await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Close them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


async def _attack(url: str, sockets: int, names: tuple[str, ...]) -> None:
    attacker = Attacker(url)
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await attacker.begin(sockets, names)
    print("open", flush=True)
    await ended
    await attacker.end()
    print(json.dumps({name: dict(found.counts) for name, found in attacker.outcomes.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    names = tuple(name for name in options.only.split(",") if name)
    uvloop.run(_attack(options.url, options.sockets, names))


if __name__ == "__main__":
    main()
