"""An owner's waiting attempts, and the order in which owners take turns if each turn takes what it takes on average."""

from collections.abc import Collection, Iterator
from heapq import heapify, heappop, heappush, merge
from typing import Any

from tables.dispatch.values import Entry, Line


class Owner:
    """An owner with waiting attempts."""

    __slots__ = ("changed", "lines", "name", "size", "span", "tag")

    def __init__(self, name: str, tag: int, span: int) -> None:
        self.name, self.tag = name, tag
        #: Number of the last change of the tag: of equal tags the one that has waited longest goes first.
        self.changed = 0
        #: By how much a turn raises the tag on average: the guess for the next ones.
        self.span = span
        self.size = 0
        #: Waiting attempts, oldest first. SortedList carries no types.
        self.lines: dict[Line, Any] = {}


def in_turn(owners: Collection[Owner], changes: int, skipped: Collection[Line]) -> Iterator[tuple[Entry, Line]]:
    """What waits in the order in which it goes. `changes`: number of the last change of a tag."""
    waiting, heap = [_in_order(owner, skipped) for owner in owners], []
    for number, owner in enumerate(owners):
        heap.append((owner.tag, owner.changed, number, owner.span))
    heapify(heap)
    while heap:
        tag, _, number, span = heappop(heap)
        if (turn := next(waiting[number], None)) is not None:
            changes += 1
            heappush(heap, (tag + span, changes, number, span))
            yield turn


def index_within(owner: Owner, entry: Entry, skipped: Collection[Line]) -> int:
    """Attempts of the owner that go before this one."""
    return sum(int(entries.bisect_left(entry)) for line, entries in owner.lines.items() if line not in skipped)


def _in_order(owner: Owner, skipped: Collection[Line]) -> Iterator[tuple[Entry, Line]]:
    """The owner's attempts, oldest first."""
    return merge(*(_of_line(owner.lines[line], line) for line in owner.lines if line not in skipped))


def _of_line(entries: Any, line: Line) -> Iterator[tuple[Entry, Line]]:
    for entry in entries:
        yield entry, line


def size_of(owner: Owner, skipped: Collection[Line]) -> int:
    """Attempts of the owner that wait."""
    return sum(len(entries) for line, entries in owner.lines.items() if line not in skipped)


def wins_tie(other: Owner, theirs: int, mine: Owner, ours: int, at: int) -> bool:
    """Whether turn number `theirs` of `other` goes before turn `ours` of `mine`, both at tag `at`, numbered from 0.

    Of equal tags the one whose owner had its turn before that earlier goes first, and so on backwards.
    """
    while theirs and ours:
        if other.span == mine.span and (common := min(theirs, ours) - 1) > 0:
            theirs, ours, at = theirs - common, ours - common, at - common * mine.span
        previous = other.tag if theirs == 1 else at - other.span
        previous_mine = mine.tag if ours == 1 else at - mine.span
        if previous != previous_mine:
            return previous < previous_mine
        theirs, ours, at = theirs - 1, ours - 1, previous
    return other.changed < mine.changed if theirs == ours else theirs == 0
