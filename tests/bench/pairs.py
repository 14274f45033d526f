"""Two ways of doing the same, measured in turn: whatever else the machine does meets both alike."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from typing import NamedTuple

#: Does the work once; the seconds that it took.
Timed = Callable[[], Awaitable[float]]
#: Threads of numeric libraries spin for so long after their work, on cores that the next run is measured on.
#: Source: Intel OpenMP, KMP_BLOCKTIME, 200 ms.
_SPIN_S = 0.3


class Pairs(NamedTuple):
    """Seconds of both, round by round."""

    ours: list[float]
    bare: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours to the other, of each round."""
        return [ours / bare for ours, bare in zip(self.ours, self.bare, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    def told(self) -> str:
        """Quartiles of the ratios, and how many there were."""
        low, _, high = statistics.quantiles(self.ratios, n=4)
        return f"quartiles {low:.2f}-{high:.2f}, n={len(self.ours)} pairs"


async def in_turn(ours: Timed, bare: Timed, rounds: int) -> Pairs:
    """Both in each round, first the one and then the other, so that neither always comes second. Nothing is warmed."""
    pairs = Pairs([], [])
    for number in range(rounds):
        turns = [(ours, pairs.ours), (bare, pairs.bare)]
        for timed, seconds in turns if number % 2 == 0 else reversed(turns):
            await asyncio.sleep(_SPIN_S)
            seconds.append(await timed())
    return pairs
