"""CLAIM_BEFORE_DEADLINE on an Anvil whose blocks the test makes: full without us, too dear, or as usual.

The claim must be mined while it counts, whatever the farmer's first attempts were worth, and though it is
started anew in between.
"""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from node.farmer.check import Condition, Level, examine, worst
from node.farmer.metrics import render
from node.farmer.vitals import Vitals, usual_latency
from payments.types import Amount
from settlement.client import ChannelState
from settlement.fees import GWEI
from settlement.local_chain import ChainKind, LocalChain
from settlement.outbox import stuck_after
from settlement.outbox_store import Attempt, list_attempts, list_open
from tests.node.farmer.support import DEPOSIT, PERIOD, Renter, Rig, run
from tests.node.farmer.test_deadlines import EARNED, PRECIOUS, SOUND, WORTHLESS, books

BLOCK = 3
"""Seconds from block to block."""
LAST = math.ceil(PERIOD / BLOCK) - 1
"""The last block before the payer may withdraw, counted from that of the close request."""
FULL, EMPTY = 25_000, 30_000_000
"""Gas that a block has left for us."""
USUAL, SPIKE, CEILING = 1 * GWEI, 400 * GWEI, 500 * GWEI


@pytest.fixture
def anvil() -> Iterator[LocalChain]:
    with LocalChain.start(ChainKind.ANVIL, block_time=0) as chain:
        yield chain


@dataclass
class Street:
    """A farmer, a channel that closes, and the blocks since; the farmer looks once after each."""

    rig: Rig
    renter: Renter
    number: int = 0

    @classmethod
    async def close(cls, rig: Rig, renter: Renter) -> "Street":
        """Let the renter's payer ask to close in block 0; from then on blocks come when told."""
        await renter.pay(renter.voucher(EARNED))
        await renter.close()
        await rig.world.chain.rpc.request("evm_setAutomine", False)
        street = cls(rig, renter)
        street.started = (await rig.world.chain.head()).timestamp
        assert (await street.state()).closes_at == street.started + PERIOD
        rig.clock.now = street.started
        return street

    started: int = 0

    async def mine(self, *, full: bool = False, price: int = USUAL) -> None:
        """Make the next block, then let the farmer look. full: what it sent is dropped, and had no room."""
        rpc = self.rig.world.chain.rpc
        self.number += 1
        at = self.started + self.number * BLOCK
        if full:
            await rpc.request("anvil_dropAllTransactions")
        await rpc.request("evm_setBlockGasLimit", hex(FULL if full else EMPTY))
        await rpc.request("anvil_setNextBlockBaseFeePerGas", hex(price))
        await rpc.request("evm_setNextBlockTimestamp", hex(at))
        await rpc.request("evm_mine")
        await rpc.request("evm_setBlockGasLimit", hex(EMPTY))
        self.rig.clock.now = at  # the farmer's: after the block
        await self.rig.farmer.follow()

    async def state(self) -> ChannelState:
        (found,) = await self.rig.world.chain.channel_states([self.renter.channel])
        return found

    async def attempts(self) -> list[Attempt]:
        """What the farmer has signed for its claim so far, once it is decided upon."""
        database = self.rig.farmer.farm.database
        while not (queue := database.read(list_open)):  # noqa: ASYNC110 - its own loop claims
            await asyncio.sleep(0.01)
        (claim,) = queue
        return database.read(lambda conn: list_attempts(conn, claim))

    async def until_sent(self) -> None:
        while not await self.attempts():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)

    async def withdrawn(self) -> int:
        """Let the time come and the payer take what it can; how much that is."""
        chain, renter = self.rig.world.chain, self.renter
        assert (await chain.head()).timestamp < self.started + PERIOD
        await chain.rpc.request("evm_setNextBlockTimestamp", hex(self.started + PERIOD))
        await chain.rpc.request("evm_setAutomine", True)
        before = await chain.token_balance(renter.terms.payer)
        call = chain.withdraw(renter.signer.address, PERIOD, renter.salt, [renter.terms.payee])
        await self.rig.world.send(call)
        return await chain.token_balance(renter.terms.payer) - before


def test_as_many_blocks_may_leave_a_claim_out_as_docs_survival_says(tmp_path: Path, anvil: LocalChain) -> None:
    """Those blocks, then a spike above all that was offered: the very last block still takes it."""

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            street = await Street.close(rig, renter)
            await rig.farmer.follow()
            await street.until_sent()
            stuck = math.ceil(stuck_after(rig.world.chain.deployment) / BLOCK)
            censored = LAST + 1 - 2 - stuck
            for number in range(censored):
                await street.mine(full=True)
                if number == censored // 2:
                    await rig.restart()
            offered = max(one.fees.cap for one in await street.attempts())
            assert USUAL < offered < SPIKE
            while (await street.state()).claimed == 0:
                assert street.number < LAST
                await street.mine(price=SPIKE)
            assert street.number == LAST
            assert (await street.state()).claimed == EARNED
            assert await street.withdrawn() == DEPOSIT - EARNED

    run(tmp_path, story, endpoint=anvil.url)
