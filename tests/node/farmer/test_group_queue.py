"""Requests that come in together are served together; each gets its own answer, or its own error."""

import asyncio

import pytest

from node.farmer import group_queue
from node.farmer.group_queue import GroupQueue


class Echo:
    """Serves a group when it is let: a number comes back doubled, a negative one is refused."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fault: Exception | None = None

    async def __call__(self, group: list[int]) -> list[int | Exception]:
        self.groups.append(group)
        await self.open.wait()
        if self.fault:
            raise self.fault
        return [ValueError(number) if number < 0 else 2 * number for number in group]


def test_what_comes_in_meanwhile_is_the_next_group() -> None:
    async def story() -> None:
        echo = Echo()
        queue: GroupQueue[int, int] = GroupQueue(echo)
        echo.open.clear()
        first = asyncio.create_task(queue.ask(1))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(queue.ask(number)) for number in (2, 3, 4)]
        await asyncio.sleep(0.01)
        echo.open.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
        assert echo.groups == [[1], [2, 3, 4]]
        assert await queue.ask(5) == 10

    asyncio.run(story())


def test_a_refused_request_is_refused_alone() -> None:
    async def story() -> None:
        queue: GroupQueue[int, int] = GroupQueue(Echo())
        one, bad, two = await asyncio.gather(*(queue.ask(n) for n in (1, -7, 2)), return_exceptions=True)
        assert (one, two) == (2, 4)
        assert isinstance(bad, ValueError)

    asyncio.run(story())


def test_a_fault_is_told_to_the_whole_group_and_the_next_is_served() -> None:
    async def story() -> None:
        echo = Echo()
        queue: GroupQueue[int, int] = GroupQueue(echo)
        echo.fault = OSError("disk full")
        told = await asyncio.gather(queue.ask(1), queue.ask(2), return_exceptions=True)
        assert all(isinstance(one, OSError) for one in told)
        echo.fault = None
        assert await queue.ask(3) == 6

    asyncio.run(story())


def test_who_leaves_is_not_waited_for() -> None:
    async def story() -> None:
        echo = Echo()
        queue: GroupQueue[int, int] = GroupQueue(echo)
        echo.open.clear()
        leaving, staying = asyncio.create_task(queue.ask(1)), asyncio.create_task(queue.ask(2))
        await asyncio.sleep(0.01)
        leaving.cancel()
        echo.open.set()
        assert await staying == 4
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(story())


def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_queue, "MAX_GROUP", 2)

    async def story() -> None:
        echo = Echo()
        queue: GroupQueue[int, int] = GroupQueue(echo)
        await asyncio.gather(*(queue.ask(number) for number in range(5)))
        assert echo.groups == [[0, 1], [2, 3], [4]]

    asyncio.run(story())
