"""Tasks that succeed together or end with the first error, as itself and not in a group; and endless ones."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

log = logging.getLogger("tithebarn")

T = TypeVar("T")


async def all_of(work: Iterable[Coroutine[Any, Any, T] | asyncio.Task[T]]) -> tuple[T, ...]:
    """Run these at the same time; their results in order. The first error ends the others and is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        if tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()  # raises the error, if it is the one
        return tuple(task.result() for task in tasks)
    finally:
        await end(tasks)


async def first_of(tasks: Sequence["asyncio.Task[T]"]) -> T:
    """Return the result of the first task that succeeds; raise the first one's error where none does."""
    running = set(tasks)
    while running:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and task.exception() is None:
                return task.result()
    return tasks[0].result()


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel what still runs and wait until it has ended."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


async def finish(task: "asyncio.Future[T]") -> T:
    """Wait for what must not be left half done: whoever is cancelled meanwhile waits for its end too."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def repeat(
    name: str,
    step: Callable[[], Awaitable[object]],
    seconds: float,
    due: asyncio.Event | None = None,
    *,
    at_once: bool = False,
) -> None:
    """Do something again and again; at once when it is `due`. What fails is tried again the next time."""
    wake = due or asyncio.Event()
    if at_once:
        wake.set()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for loses a cancellation that comes with the event
                await wake.wait()
        wake.clear()
        try:
            await step()
        except Exception:  # nobody dies of one bad round
            log.exception("loop_failed loop=%s", name)
