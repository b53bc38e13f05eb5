"""CLAIM_BEFORE_DEADLINE on an Anvil whose blocks the test makes: full without us, too dear, or as usual.

The claim must be mined while it counts, whatever the farmer's first attempts were worth, and though it is
started anew in between.
"""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.farmer.check import Condition, Level, examine, worst
from node.farmer.metrics import render
from node.farmer.vitals import read_vitals, usual_latency
from settlement.client import ChannelState
from settlement.fees import GWEI
from settlement.local_chain import ChainKind, LocalChain
from settlement.outbox import stuck_after
from settlement.outbox_store import Attempt, list_attempts, list_open
from tests.node.farmer.support import DEPOSIT, PERIOD, Renter, Rig, run
from tests.node.farmer.test_deadlines import EARNED, SOUND, books

BLOCK = 3
"""Seconds from block to block."""
LAST = math.ceil(PERIOD / BLOCK) - 1
"""The last block before the payer may withdraw, counted from that of the close request."""
FULL, EMPTY = 25_000, 30_000_000
"""Gas that a block has left for us."""
USUAL, SPIKE, CEILING, TOO_DEAR = 1 * GWEI, 400 * GWEI, 500 * GWEI, 600 * GWEI


@pytest.fixture
def anvil() -> Iterator[LocalChain]:
    with LocalChain.start(ChainKind.ANVIL, block_time=0) as chain:
        yield chain


@dataclass
class Street:
    """A farmer, a channel that closes, and the blocks since; the farmer looks once after each."""

    rig: Rig
    renter: Renter
    started: int
    number: int = 0

    @classmethod
    async def close(cls, rig: Rig, renter: Renter) -> "Street":
        """Let the renter's payer ask to close in block 0; from then on blocks come when told."""
        await renter.pay(renter.voucher(EARNED))
        await renter.close()
        chain = rig.world.chain
        await chain.rpc.request("evm_setAutomine", False)
        street = cls(rig, renter, (await chain.head()).timestamp)
        assert (await street.state()).closes_at == street.started + PERIOD
        rig.clock.now = street.started
        return street

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

    @property
    def left(self) -> int:
        """Seconds until the payer may withdraw."""
        return PERIOD - self.number * BLOCK

    async def state(self) -> ChannelState:
        (found,) = await self.rig.world.chain.channel_states([self.renter.channel])
        return found

    def attempts(self) -> list[Attempt]:
        """What the farmer has signed for its claim so far."""
        database = self.rig.farmer.farm.database
        (claim,) = database.read(list_open)
        return database.read(lambda conn: list_attempts(conn, claim))

    async def until_waiting(self, problem: str = "") -> None:
        """The farmer's own loop decides upon the claim, and sends it, or not: for such a problem."""
        async with asyncio.timeout(60):
            while [problem in one.problem for one in self.rig.farmer._outbox.open()] != [True]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def withdrawn(self) -> int:
        """Let the time come and the payer take what it can; how much that is."""
        chain, renter = self.rig.world.chain, self.renter
        assert (await chain.head()).timestamp < self.started + PERIOD
        await chain.rpc.request("evm_setNextBlockTimestamp", hex(self.started + PERIOD))
        await chain.rpc.request("evm_setAutomine", True)
        before = await chain.token_balance(renter.terms.payer)
        call = chain.calls.withdraw(renter.signer.address, PERIOD, renter.salt, [renter.terms.payee])
        await self.rig.world.send(call)
        return await chain.token_balance(renter.terms.payer) - before


def spare_blocks(stuck: float) -> int:
    """How many blocks may leave a claim out, by docs/survival.md."""
    return math.ceil(PERIOD / BLOCK) - math.ceil(stuck / BLOCK) - 2


def test_a_claim_that_as_many_blocks_leave_out_as_may_is_made_in_time(
    tmp_path: Path, anvil: LocalChain
) -> None:
    """Then comes a spike, just after the fee was raised, above all that was offered so far."""

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            street = await Street.close(rig, renter)
            await rig.farmer.follow()
            await street.until_waiting()
            spare = spare_blocks(stuck_after(rig.world.chain.deployment))
            for number in range(spare):
                await street.mine(full=True)
                if number == spare // 2:
                    await rig.restart()
            assert USUAL < street.attempts()[-1].fees.cap < SPIKE
            while not (await street.state()).claimed:
                assert street.number < LAST
                await street.mine(price=SPIKE)
            assert (await street.state()).claimed == EARNED
            assert await street.withdrawn() == DEPOSIT - EARNED

    run(tmp_path, story, endpoint=anvil.url)


@pytest.mark.parametrize("signed", [True, False])
def test_above_the_ceiling_a_claim_waits_with_alarm_and_is_made_in_the_second_block_within_it(
    tmp_path: Path, anvil: LocalChain, caplog: pytest.LogCaptureFixture, signed: bool
) -> None:
    """What was offered before the spike, if anything, lies just below the ceiling, the price after it too."""

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            street = await Street.close(rig, renter)
            if signed:
                await street.mine(full=True, price=CEILING * 9 // 20)
                await street.until_waiting()
            await street.mine(price=TOO_DEAR)
            while street.left > usual_latency(rig.world.chain.deployment):
                await street.mine(price=TOO_DEAR)
                await street.until_waiting("the ceiling is")
                if street.number == LAST // 2:
                    assert "deadline_near" not in caplog.text
                    await rig.restart()
            assert "deadline_near" in caplog.text
            await check_alarm(rig, street.left)
            for _ in range(2):  # after the first the farmer has heard of the price
                await street.mine(price=CEILING * 24 // 25)
            assert (await street.state()).claimed == EARNED
            assert await street.withdrawn() == DEPOSIT - EARNED

    run(tmp_path, story, endpoint=anvil.url, deadline_gas_fee=CEILING)


async def check_alarm(rig: Rig, left: int) -> None:
    """`tithe farm check` ends with the status of danger, says why, and a Prometheus reads the same."""
    vitals, _ = await read_vitals(books(rig), rig.farmer.farm.now(), rig.world.chain)
    findings = examine(rig.config, vitals, Condition(True, SOUND, trouble=rig.farmer.trouble))
    assert (findings[0].code, worst(findings)) == ("DEADLINE_NEAR", Level.DANGER)
    assert any("ceiling" in one.what for one in findings)
    assert f"tithebarn_nearest_deadline_seconds {left}\n" in render(vitals, SOUND)
