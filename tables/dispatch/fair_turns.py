"""Owners in turn within one priority class: start-time fair queueing, O(log owners) per turn.

Each owner has a tag: the service it was charged so far, divided by its weight. The lowest tag goes first. Virtual time
follows the tags; an owner that begins to wait starts there, so nobody saves up credit, and a newcomer's first turn
comes in the current round. It also advances with each turn, or an endless row of newcomers would starve the others.
Tags are integers, so that the order does not depend on rounding.
Source: Goyal, Vin, Cheng, "Start-time Fair Queueing", SIGCOMM 1996.
"""

from collections.abc import Collection, Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from sortedcontainers import SortedList

from tables.dispatch.owner_turns import Owner, in_turn, index_within, size_of, wins_tie
from tables.dispatch.values import Entry, Line

#: Tag units in one second of service at weight 1.
UNITS_PER_S = 1_000_000
#: Most service by which an owner's tag may lead: an attempt that took hours costs its owner this much at most.
MAX_LEAD = 3600 * UNITS_PER_S
#: Most service by which it may lag behind virtual time: what it could not use while it was capped or paused is lost.
MAX_LAG = 60 * UNITS_PER_S
#: One turn's share of the average is 1 / this.
_SMOOTHING = 8
#: Heaps and resting owners may be this much longer than what is current.
_SLACK = 64


class Candidate(NamedTuple):
    """The attempt whose turn it is."""

    owner: str
    line: Line
    entry: Entry


class FairTurns:
    """The waiting attempts of one priority class."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}
        #: Tags of owners without waiting attempts that lead virtual time.
        self._resting: dict[str, int] = {}
        self._heaps: dict[Line, list[tuple[int, int, str]]] = {}
        self._sizes: dict[Line, int] = {}
        #: Virtual time.
        self._virtual = 0
        self._changes = 0
        self._span = UNITS_PER_S
        self._forget_at = _SLACK

    def size(self, skipped: Collection[Line] = ()) -> int:
        """Waiting attempts, without those of the `skipped` lines."""
        return sum(size for line, size in self._sizes.items() if line not in skipped)

    def waiting(self, step: str) -> int:
        """Waiting attempts of a step."""
        return sum(size for line, size in self._sizes.items() if line.step == step)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._owners

    def add(self, owner: str, line: Line, entry: Entry, refund: int = 0) -> None:
        """Let an attempt wait; `refund`: the charge of a turn that came to nothing."""
        state = self._owners.get(owner)
        if state is None:
            tag = max(self._virtual, self._resting.pop(owner, 0) - refund)
            state = self._owners[owner] = Owner(owner, tag, self._span)
            state.changed = self._next_change()
        elif refund:
            self._retag(state, state.tag - refund)
        entries = state.lines.get(line)
        if entries is None:
            entries = state.lines[line] = SortedList()
            self._push(state, line)
        entries.add(entry)
        state.size += 1
        self._sizes[line] = self._sizes.get(line, 0) + 1

    def remove(self, owner: str, line: Line, entry: Entry) -> None:
        """Let an attempt wait no longer, without a turn."""
        state = self._owners[owner]
        state.lines[line].remove(entry)
        self._left(state, line)

    def first(self, lines: Collection[Line], held: Collection[str]) -> Candidate | None:
        """The attempt whose turn it is among those of `lines`; not of owners that are `held`.

        A held owner is forgotten until `release`.
        """
        best: tuple[int, int, str] | None = None
        for line in lines:
            top = self._top(line, held)
            if top is not None and (best is None or top < best):
                best = top
        if best is None:
            return None
        state = self._owners[best[2]]
        entry, line = min((state.lines[line][0], line) for line in lines if line in state.lines)
        return Candidate(state.name, line, entry)

    def size_of_sole(self, turn: Candidate) -> int:
        """Waiting attempts of the candidate's owner and line, if no other owner waits; else 0."""
        return len(self._owners[turn.owner].lines[turn.line]) if len(self._owners) == 1 else 0

    def oldest(self, turn: Candidate, most: int) -> list[Entry]:
        """The candidate and those of its owner and line that go after it, at most so many."""
        return list(self._owners[turn.owner].lines[turn.line].islice(0, most))

    def take(self, turn: Candidate, *spans: int) -> None:
        """Give the candidate, and what `oldest` has after it, their turns at the charges `spans`."""
        state, owners = self._owners[turn.owner], len(self._owners) + 1
        entries, tag = state.lines[turn.line], state.tag
        for span in spans:
            entries.pop(0)  # `first` gives the oldest one
            tag = max(tag, self._virtual - MAX_LAG)
            self._virtual = max(self._virtual, tag) + span // owners
            state.span += (span - state.span) // _SMOOTHING
            self._span += (span - self._span) // _SMOOTHING
            tag = min(tag + span, self._virtual + MAX_LEAD)
        self._retag(state, tag)
        self._left(state, turn.line, len(spans))

    def charge(self, owner: str, span: int) -> None:
        """Charge more, or less, for a turn that was given: it took longer, or shorter, than expected."""
        state = self._owners.get(owner)
        if state is not None:
            self._retag(state, state.tag + span)
        elif self._owners:  # somebody waits, so it matters who leads
            self._resting[owner] = min(self._resting.get(owner, self._virtual) + span, self._virtual + MAX_LEAD)
            self._forget_resting()

    def charge_before(self, owner: str, span: int) -> None:
        """Charge an owner for a turn that it had before this queue began."""
        state = self._owners.get(owner)
        if state is not None:
            self._retag(state, state.tag + span)
        else:
            self._resting[owner] = self._resting.get(owner, 0) + span

    def release(self, owner: str) -> None:
        """The owner is no longer held."""
        state = self._owners.get(owner)
        if state is not None:
            for line in state.lines:
                self._push(state, line)

    def index(self, owner: str, entry: Entry, skipped: Collection[Line] = ()) -> int:
        """How many attempts go before this one, if every turn takes what its owner's take on average. O(owners)."""
        mine = self._owners[owner]
        before = total = index_within(mine, entry, skipped)
        at = mine.tag + before * mine.span
        for other in self._owners.values():
            if other.tag > at or other is mine:
                continue
            turns, rest = divmod(at - other.tag, other.span)
            if rest or wins_tie(other, turns, mine, before, at):
                turns += 1
            size = size_of(other, skipped) if skipped else other.size
            total += min(size, turns)
        return total

    def in_turn(self, skipped: Collection[Line] = ()) -> Iterator[tuple[Entry, Line]]:
        """What waits in the order in which it goes, as `index` counts. O(owners), then O(log owners) for each."""
        return in_turn(self._owners.values(), self._changes, skipped)

    def _top(self, line: Line, held: Collection[str]) -> tuple[int, int, str] | None:
        heap = self._heaps.get(line)
        while heap:
            top = heap[0]
            state = self._owners.get(top[2])
            if state is not None and state.changed == top[1] and line in state.lines and top[2] not in held:
                return top
            heappop(heap)
        return None

    def _retag(self, state: Owner, tag: int) -> None:
        state.tag = min(max(tag, 0), self._virtual + MAX_LEAD)
        state.changed = self._next_change()
        for line in state.lines:
            self._push(state, line)

    def _push(self, state: Owner, line: Line) -> None:
        heap = self._heaps.setdefault(line, [])
        heappush(heap, (state.tag, state.changed, state.name))
        if len(heap) > 2 * len(self._owners) + _SLACK:
            heap[:] = [(o.tag, o.changed, o.name) for o in self._owners.values() if line in o.lines]
            heapify(heap)

    def _left(self, state: Owner, line: Line, count: int = 1) -> None:
        """Attempts of the owner have gone from `line`."""
        self._sizes[line] -= count
        state.size -= count
        if not state.lines[line]:
            del state.lines[line]
        if not state.size:
            del self._owners[state.name]
            self._rest(state)

    def _rest(self, state: Owner) -> None:
        if not self._owners:  # the end of a busy period: everybody starts equal
            self._virtual = max(self._virtual, state.tag, *self._resting.values())
            self._resting.clear()
        elif state.tag > self._virtual:
            self._resting[state.name] = state.tag
            self._forget_resting()

    def _forget_resting(self) -> None:
        if len(self._resting) > self._forget_at:
            self._resting = {name: tag for name, tag in self._resting.items() if tag > self._virtual}
            self._forget_at = 2 * len(self._resting) + _SLACK

    def _next_change(self) -> int:
        self._changes += 1
        return self._changes
