"""The order of the attempts that compete for the same capacity: priority classes with ageing, then owners in turn."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from schemas.jobs import PRIORITIES
from tables.dispatch.fair_turns import Candidate, FairTurns
from tables.dispatch.values import Entry, Line

_CLASSES: tuple[int, ...] = tuple(range(len(PRIORITIES)))


class Chosen(NamedTuple):
    """The attempt whose turn it is, and the rank of its class."""

    rank: int
    candidate: Candidate


class PriorityQueue:
    """High before normal before low; but a class that was overtaken `patience` times goes next, the lowest first."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self.classes = tuple(FairTurns() for _ in _CLASSES)
        #: Attempts that wait.
        self.size = 0
        self._overtaken = [0 for _ in _CLASSES]

    def add(self, rank: int, owner: str, line: Line, entry: Entry, refund: int = 0) -> None:
        """Let an attempt wait, see FairTurns.add."""
        self.size += 1
        self.classes[rank].add(owner, line, entry, refund)

    def remove(self, rank: int, owner: str, line: Line, entry: Entry) -> None:
        """Let an attempt wait no longer, without a turn."""
        self.size -= 1
        self.classes[rank].remove(owner, line, entry)

    def first(self, lines: Collection[Line], held: Collection[str]) -> Chosen | None:
        """The attempt whose turn it is among those of `lines`; not of owners that are `held`, see FairTurns.first."""
        waiting = [rank for rank in _CLASSES if not self.classes[rank].is_empty]
        if len(waiting) > 1:
            waiting[:0] = [rank for rank in reversed(waiting) if self._overtaken[rank] >= self._patience]
        for rank in waiting:
            candidate = self.classes[rank].first(lines, held)
            if candidate is not None:
                return Chosen(rank, candidate)
        return None

    def run(self, chosen: Chosen, most: int) -> list[Entry]:
        """The chosen attempt and those that go after it, at most so many, if `first` would return them one by one
        whatever they are charged: those of its line, where no other owner and no other class waits.
        """
        is_sole = most > 1 and self.size == self.classes[chosen.rank].size_of_sole(chosen.candidate)
        return self.classes[chosen.rank].oldest(chosen.candidate, most if is_sole else 1)

    def take(self, chosen: Chosen, *spans: int) -> None:
        """Give the run of attempts that begins with the chosen one their turns, at the charges `spans`."""
        self.size -= len(spans)
        self.classes[chosen.rank].take(chosen.candidate, *spans)
        self._overtaken[chosen.rank] = 0
        for lower in _CLASSES[chosen.rank + 1 :]:
            waits = not self.classes[lower].is_empty
            self._overtaken[lower] = min(self._overtaken[lower] + 1, self._patience) if waits else 0

    def position(self, rank: int, owner: str, entry: Entry, skipped: Collection[Line] = ()) -> int:
        """From 1: which turn it is that this attempt gets, those of the `skipped` lines not counted."""
        ahead = self.classes[rank].index(owner, entry, skipped)
        sizes = [turns.size(skipped) for turns in self.classes]
        return turn_of(rank, ahead, sizes, self._overtaken, self._patience)

    def in_turn(self, skipped: Collection[Line] = ()) -> Iterator[tuple[Entry, Line]]:
        """What waits in the order in which it goes, as `position` counts."""
        classes = [turns.in_turn(skipped) for turns in self.classes]
        sizes, overtaken = [turns.size(skipped) for turns in self.classes], [*self._overtaken]
        while any(sizes):
            served = _next_class(sizes, overtaken, self._patience)
            _serve(served, sizes, overtaken, self._patience)
            yield next(classes[served])

    def waiting(self, step: str) -> int:
        """Attempts of a step that wait."""
        return sum(turns.waiting(step) for turns in self.classes)


def turn_of(rank: int, ahead: int, sizes: Sequence[int], overtaken: Sequence[int], patience: int) -> int:
    """From 1: the turn of the class's attempt that has `ahead` of its class before it. Takes a bounded number of steps.

    While nothing arrives the classes follow each other in a cycle; whole cycles are skipped at once.
    """
    sizes, overtaken, turn = [*sizes], [*overtaken], 0
    while True:
        shares = _shares(sizes, patience)
        cycles = min([ahead // shares[rank], *(sizes[other] // share for other, share in shares.items())])
        for other, share in shares.items():
            sizes[other] -= cycles * share
        ahead -= cycles * shares[rank]
        turn += cycles * sum(shares.values()) + 1
        served = _next_class(sizes, overtaken, patience)
        if served == rank and ahead == 0:
            return turn
        ahead -= served == rank
        _serve(served, sizes, overtaken, patience)


def _serve(served: int, sizes: list[int], overtaken: list[int], patience: int) -> None:
    """Count a turn of the class `served`."""
    sizes[served] -= 1
    overtaken[served] = 0
    for lower in _CLASSES[served + 1 :]:
        overtaken[lower] = min(overtaken[lower] + 1, patience) if sizes[lower] else 0


def _next_class(sizes: Sequence[int], overtaken: Sequence[int], patience: int) -> int:
    due = [rank for rank in reversed(_CLASSES) if overtaken[rank] >= patience and sizes[rank]]
    return next(rank for rank in [*due, *_CLASSES] if sizes[rank])


def _shares(sizes: Sequence[int], patience: int) -> dict[int, int]:
    """Turns of each class that is not empty in one cycle, after which the counts of overtaking are the same again.

    The lowest of three goes after every `patience` of the others together, the middle one after as many of the highest.
    """
    waiting = [rank for rank in _CLASSES if sizes[rank]]
    cycle = {1: (1,), 2: (patience, 1), 3: (patience * patience, patience, patience + 1)}[len(waiting)]
    return dict(zip(waiting, cycle, strict=True))
