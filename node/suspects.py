"""Suspects: shards that could not be read, until it is known whether the moment was bad or the disk is.

One error of the system says nothing: a cable, a controller or a network disk may soon be well again. One that
comes back for the same shard after a while, with no whole reading in between, is the shard's.
"""

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 600
"""Seconds for which an error has to come back, at most."""
FORGOTTEN: Final = 86_400
"""Seconds after which an error is another one."""


class Suspects:
    """The suspects of one store, in memory. `clock` tells seconds that pass, `patience` is as PATIENCE."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience: float = PATIENCE) -> None:
        self._clock = clock
        self._patience = patience
        self._since: dict[bytes, float] = {}

    def insists(self, shard: bytes) -> bool:
        """Note that a shard could not be read; whether that has been so for long enough to believe it."""
        now = self._clock()
        since = self._since.setdefault(shard, now)
        if now - since > FORGOTTEN:
            self._since[shard] = since = now
        return now - since >= self._patience

    def clear(self, shard: bytes) -> None:
        """Note that a shard was read to its end."""
        self._since.pop(shard, None)
