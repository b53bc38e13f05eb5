"""The Pace of farmers: how long a step of a read takes at present, and who is much slower than the others.

Nothing is slow by itself: a farmer is held against what the others do on the same network and machine.
"""

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Final

from payments.types import NodeId

RECENT: Final = 64
"""Steps that say how long one takes at present."""
FACTOR: Final = 3
"""So many times longer than the others is slow."""
LEAST: Final = 0.05
"""Seconds below which nobody is called slow."""
FORGIVEN: Final = 600.0
"""Seconds after which a slow farmer is tried again."""


class Pace:
    """What is known of the farmers' speed in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._slow: dict[NodeId, float] = {}

    @property
    def patience(self) -> float | None:
        """Seconds after which a step is slow; None where nothing is known yet."""
        return max(LEAST, FACTOR * median(self._recent)) if self._recent else None

    def note(self, farmer: NodeId, seconds: float) -> None:
        """A step has come after so many seconds."""
        patience = self.patience
        self._recent.append(seconds)
        if patience is not None and seconds > patience:
            self.blame(farmer)
        else:
            self._slow.pop(farmer, None)

    def blame(self, farmer: NodeId) -> None:
        """A farmer has kept us waiting: ask others first for a while."""
        self._slow[farmer] = self._clock()

    def is_slow(self, farmer: NodeId) -> bool:
        """Whether to ask others first."""
        since = self._slow.get(farmer)
        return since is not None and self._clock() < since + FORGIVEN
