"""Lateness in a segment's upload: how long its shards take, and from when on one that is not there is late.

Lateness is measured against the crowd: half of the shards say how long one takes here and now, whatever the
network and the size. No fixed time-out would do: what is slow for 10 kB is fast for 2 MB.
"""

import asyncio
from typing import Final

TIMES: Final = 2.0
"""A shard that takes so many times what the faster half took is late."""
LEAST: Final = 0.2
"""Seconds it must take longer in any case: less is chance."""


def late_after(taken: list[float]) -> float:
    """Say after how many seconds a shard is late where the faster half took these."""
    usual = max(taken)
    return max(TIMES * usual, usual + LEAST)


class Lateness:
    """Hears of the shards of one segment that have arrived."""

    def __init__(self, shards: int) -> None:
        self._half = -(-shards // 2)
        self._taken: list[float] = []
        self._limit: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def arrived(self, seconds: float) -> None:
        """Hear that a shard has taken so long."""
        self._taken.append(seconds)
        if len(self._taken) == self._half:
            self._limit.set_result(late_after(self._taken))

    async def late(self, begun: float) -> None:
        """Return when a shard that was begun at this time of the event loop is late: once half are there."""
        limit = await asyncio.shield(self._limit)
        await asyncio.sleep(begun + limit - asyncio.get_running_loop().time())
