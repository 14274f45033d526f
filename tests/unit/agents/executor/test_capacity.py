"""Capacity: slots for attempts, and the queue for the CPUs."""

from agents.executor.capacity import CpuBudget, Slots


def test_one_attempt_may_wait_for_each_slot_and_no_more_are_accepted() -> None:
    slots = Slots(2)
    for _ in range(4):
        assert slots.has_room
        slots.add()
    assert (slots.has_room, slots.free) == (False, 0)
    for _ in range(3):
        slots.remove()
    assert (slots.has_room, slots.free) == (True, 1)


def test_heavy_attempts_have_the_cpus_one_after_another_in_order() -> None:
    budget = CpuBudget(4)
    first, second, third = budget.enqueue(), budget.enqueue(), budget.enqueue()
    assert [turn.is_waiting for turn in (first, second, third)] == [False, True, True]
    second.release()
    first.release()
    assert not third.is_waiting
    first.release()
    assert not third.is_waiting


def test_the_dispatcher_hears_of_every_release_of_the_cpus() -> None:
    budget, released = CpuBudget(4), list[bool]()
    first, second = budget.enqueue(), budget.enqueue()
    budget.on_release = lambda: released.append(first.is_released)
    first.release()
    first.release()
    assert (released, first.is_released, second.is_released) == ([True], True, False)
