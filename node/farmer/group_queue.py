"""GroupQueue: requests that arrive while others are being served form the next group, and are served as one.

Nobody waits for company: the first request is served at once. The busier the farmer, the larger its groups,
and what a group shares (queries, a commit) costs each of its requests less.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

MAX_GROUP: Final = 128
"""Requests of one group at most: bounds how long the first of them waits. While one group is served, those of
the group before it are answered and may come again, so under load several groups are better than one."""


class GroupQueue(Generic[Q, A]):
    """A queue in front of `serve`, which answers a whole group in its order: a value or an error for each."""

    def __init__(self, serve: Callable[[list[Q]], Awaitable[list[A | Exception]]]) -> None:
        self._serve = serve
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._server: asyncio.Task[None] | None = None

    async def ask(self, request: Q) -> A:
        """Have one request served. Raises its error, or the fault that befell its whole group."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._server is None:
            self._server = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                _tell(group, await self._answer([request for request, _ in group]))
        finally:
            self._server = None

    async def _answer(self, requests: list[Q]) -> list[A | Exception]:
        try:
            return await self._serve(requests)
        except Exception as fault:  # noqa: BLE001 - everybody who waits must hear of it
            return [fault] * len(requests)


def _tell(group: list[tuple[Q, asyncio.Future[A]]], answers: list[A | Exception]) -> None:
    for (_, future), answer in zip(group, answers, strict=True):
        if future.done():  # who asked has gone
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
