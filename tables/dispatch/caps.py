"""Caps: attempts at a time per step and per owner, and paused queues."""

import sys

from tables.dispatch.values import Rules


class Caps:
    """Counts what is given or accepted; says what may be given."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._paused: set[str] = set()
        self._max_active: dict[str, int] = {}
        self._by_step: dict[str, int] = {}
        self._by_owner: dict[str, int] = {}
        #: Owners at their cap.
        self.held = self._held()

    def pause(self, step: str) -> None:
        """Give nothing of this step; what runs goes on."""
        self._paused.add(step)

    def resume(self, step: str) -> None:
        """Give again."""
        self._paused.discard(step)

    def limit(self, step: str, max_active: int | None) -> None:
        """At most so many attempts of the step at a time over all executors; None: any number."""
        self._max_active.pop(step, None)
        if max_active is not None:
            self._max_active[step] = max_active

    def limit_owners(self, rules: Rules) -> set[str]:
        """The owners' caps have changed. Returns the owners that are no longer held."""
        self._rules, before = rules, self.held
        self.held = self._held()
        return before - self.held

    def is_paused(self, step: str) -> bool:
        """Whether the step's queue is paused."""
        return step in self._paused

    def is_open(self, step: str) -> bool:
        """Whether an attempt of the step may be given."""
        return step not in self._paused and not self.is_capped(step)

    def limit_of(self, step: str) -> int | None:
        """Attempts of the step that may be active at a time; None: any number."""
        return self._max_active.get(step)

    def is_capped(self, step: str) -> bool:
        """Whether as many attempts of the step are active as may be."""
        limit = self._max_active.get(step)
        return limit is not None and self._by_step.get(step, 0) >= limit

    def room(self, step: str, owner: str) -> int:
        """How many more attempts of the owner and step may be active; 1 at least."""
        limit, cap = self._max_active.get(step), self._rules.owner_caps.get(owner, self._rules.owner_cap)
        of_step = sys.maxsize if limit is None else limit - self._by_step.get(step, 0)
        of_owner = sys.maxsize if cap is None else cap - self._by_owner.get(owner, 0)
        return max(1, min(of_step, of_owner))

    def begin(self, step: str, owner: str, count: int = 1) -> bool:
        """Attempts were given, or found to be accepted. Returns whether the owner is held because of them."""
        self._by_step[step] = self._by_step.get(step, 0) + count
        self._by_owner[owner] = self._by_owner.get(owner, 0) + count
        if owner in self.held or not self._is_at_cap(owner):
            return False
        self.held.add(owner)
        return True

    def end(self, step: str, owner: str) -> bool:
        """An attempt has ended, or was taken back. Returns whether the owner is no longer held because of it."""
        self._by_step[step] -= 1
        self._by_owner[owner] -= 1
        if not self._by_owner[owner]:
            del self._by_owner[owner]
        if owner in self.held and not self._is_at_cap(owner):
            self.held.discard(owner)
            return True
        return False

    def _held(self) -> set[str]:
        return {owner for owner in self._by_owner.keys() | self._rules.owner_caps if self._is_at_cap(owner)}

    def _is_at_cap(self, owner: str) -> bool:
        cap = self._rules.owner_caps.get(owner, self._rules.owner_cap)
        return cap is not None and self._by_owner.get(owner, 0) >= cap
