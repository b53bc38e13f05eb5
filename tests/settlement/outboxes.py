"""What the tests of the outbox share: a clock to be turned and a chain that mines when told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from settlement.database import Database
from settlement.local_chain import LocalChain, mine
from settlement.outbox import Outbox
from settlement.outbox_store import Attempt, list_attempts, load_queued
from settlement.rpc import Rpc
from tests.settlement.support import World, world


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def still_world(chain: LocalChain, confirmations: int = 1) -> AsyncIterator[World]:
    """A world on a chain that mines when told: a helper mines while it is set up."""

    async def miner() -> None:
        async with await Rpc.open(chain.url) as rpc:
            while True:
                await mine(rpc)
                await asyncio.sleep(0.05)

    helper = asyncio.create_task(miner())
    async with world(chain.url, confirmations=confirmations) as w:
        helper.cancel()
        await asyncio.gather(helper, return_exceptions=True)
        yield w


async def finish(w: World, outbox: Outbox) -> None:
    """Mine and tick until nothing is open any more."""
    for _ in range(20):
        await outbox.tick()
        if not outbox.open():
            return
        await mine(w.chain.rpc)
    raise AssertionError(outbox.open())


def attempts_of(database: Database, key: int) -> list[Attempt]:
    return database.read(lambda conn: list_attempts(conn, load_queued(conn, key)))
