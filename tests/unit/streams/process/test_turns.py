"""Long loops that let the rest of the event loop have its turns."""

import asyncio

from streams.process.turns import in_turns


async def test_all_items_come_in_order_and_others_have_a_turn_after_each_part() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = [(item, turns) async for item in in_turns(range(10), 4)]
    task.cancel()
    assert [item for item, _ in seen] == list(range(10))
    assert [turn for _, turn in seen] == [0] * 4 + [1] * 4 + [2] * 2


async def test_no_items_need_no_turn() -> None:
    assert [item async for item in in_turns(list[int]())] == []
