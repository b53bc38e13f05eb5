"""The Follower: reads the chain's news into a farmer's books and keeps its queued transactions going."""

import asyncio
import logging

from node.farmer.farm import Farm
from payments.channel import ClaimNow, StopAccepting
from settlement.errors import ChainError, Reorganised
from settlement.outbox import Outbox
from settlement.rpc import Block
from settlement.watcher import News, Watcher

log = logging.getLogger("tithebarn.farmer")


class Follower:
    """Keeps a farmer abreast of its chain."""

    def __init__(self, farm: Farm, watcher: Watcher, outbox: Outbox) -> None:
        self._farm = farm
        self._watcher = watcher
        self._outbox = outbox
        self._lock = asyncio.Lock()
        self.head: Block | None = None
        """The newest block seen."""
        self.trouble: str | None = None
        """Why the chain could not be read the last time, None if it could."""

    async def follow(self) -> None:
        """Take one look at the chain; a chain that cannot be read is `trouble`, not an error."""
        async with self._lock:
            try:
                await self._take(await self._watcher.poll())
                await self._outbox.tick()
            except Reorganised:
                log.info("chain_moved")
            except ChainError as error:
                if self.trouble is None:
                    log.warning("chain_unreadable code=%s reason=%s", error.code, error)
                self.trouble = str(error)
            else:
                if self.trouble is not None:
                    log.info("chain_readable")
                self.trouble = None

    async def _take(self, news: News) -> None:
        self.head = news.head
        if news.reorganised_at is not None:
            log.warning("chain_reorganised back_to=%d", news.reorganised_at)
        for pending in news.effects:
            effect = pending.effect
            if isinstance(effect, StopAccepting):
                log.warning("channel_stopped channel=%s", effect.channel_id.hex())
            if isinstance(effect, ClaimNow):
                log.warning("claim_due channel=%s before=%d", effect.channel_id.hex(), effect.before)
                self._farm.claims_due.set()
        if news.effects:  # the claims themselves are decided from the books, again and again until made
            await self._watcher.acknowledge(news.effects)
