"""Endless tasks end when they are told to, whatever comes at the same moment."""

import asyncio

import pytest

from node.tasks import end, repeat


@pytest.mark.parametrize("turns", range(4))
def test_repeating_ends_though_it_becomes_due_as_it_is_cancelled(turns: int) -> None:
    async def story() -> None:
        due = asyncio.Event()

        async def step() -> None:
            due.clear()

        task = asyncio.create_task(repeat("test", step, 60, due))
        await asyncio.sleep(0.01)
        due.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(end([task]), 5)
        assert task.cancelled()

    asyncio.run(story())
