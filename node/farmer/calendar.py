"""The calendar: whether this machine's clock may be believed when something is ended for good.

Agreements end by wall time, and a clock that runs ahead, after a reset or a long sleep, would end all of them
in one sweep. The chain has a clock as well. While the two differ, what cannot be undone waits. Local chains
stand still when nobody uses them, and say nothing about the time.
"""

import logging
from typing import Final

from node.farmer.farm import Farm
from payments.types import Seconds
from settlement.rpc import Block

log = logging.getLogger("tithebarn.farmer")

DOUBTFUL: Final = Seconds(3_600)
"""More than blocks are ever apart, or a node behind."""


class Calendar:
    """Compares the clock with the newest block."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self.trouble: str | None = None
        """Why nothing is ended for good, None if it is."""

    def agrees(self, head: Block | None) -> bool:
        """Whether the clock says about what the newest block says."""
        before, self.trouble = self.trouble, self._compare(head)
        if self.trouble and not before:
            log.error("clock_doubtful reason=%s", self.trouble)
        if before and not self.trouble:
            log.info("clock_agrees")
        return self.trouble is None

    def _compare(self, head: Block | None) -> str | None:
        if self._farm.chain.deployment.local:
            return None
        if head is None:
            return "no block was read yet: nothing is ended or deleted before the chain has told its time"
        ahead = self._farm.now() - head.timestamp
        if abs(ahead) <= DOUBTFUL:
            return None
        side = "ahead of" if ahead > 0 else "behind"
        return (
            f"the clock is {abs(ahead)} s {side} the newest block: nothing is ended or deleted until they"
            " agree (set the clock, or look after the chain's endpoint)"
        )
