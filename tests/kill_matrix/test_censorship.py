"""CLAIM_BEFORE_DEADLINE of a farmer that is killed while its claim is left out of block after block.

It dies before and after it writes, signs and sends the claim, and again when it raises the fee; then gas
costs more than all that it has offered.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from payments.types import Seconds
from settlement.steps import Moment
from tests.judge.laws import AT_ALL_TIMES, AT_REST, claim_before_deadline
from tests.kill_matrix import deeds
from tests.kill_matrix.preparations import DEAR, KILLED, OUTBOX, do, start
from tests.kill_matrix.sites import find_sites
from tests.kill_matrix.world import World

PERIOD = Seconds(3_600)
BLOCK = PERIOD // 4
"""Seconds between blocks. The third is the last before the payer may withdraw."""
SOON = 60
FULL, EMPTY = 25_000, 30_000_000
"""Gas that a block has left for the farmer."""
SUBMIT, SIGN, SEND, _ = OUTBOX


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path, PERIOD)
    try:
        yield found
    finally:
        found.close()


def test_a_claim_left_out_and_outbid_is_made_before_the_deadline_whoever_is_killed(world: World) -> None:
    asked = close(world)
    for sites in ((SUBMIT, SIGN, SEND), (SIGN, SEND)):
        for site in sites:
            kill(world, site)
        mine(world, now(world) + BLOCK, gas=FULL)
    mine(world, now(world) + BLOCK, price=DEAR)
    assert not claimed(world)
    start(world)
    while not claimed(world):
        assert now(world) + SOON < asked + PERIOD
        mine(world, now(world) + SOON, price=DEAR)
        assert world.order("follow")
    mine(world, asked + PERIOD)
    world.on_chain(("evm_setAutomine", True))
    do(world, deeds.withdraw)
    assert world.order("follow")
    assert world.judge((*AT_REST, claim_before_deadline)) == []
    (channel,) = world.seen.replay().values()
    assert channel.withdrawn == channel.deposit - channel.claimed


def close(world: World) -> int:
    """Let there be something earned in a channel whose payer wants the rest back; when it was asked for."""
    start(world)
    do(world, deeds.meet, world.url)
    for deed in (deeds.fund, deeds.present, deeds.put, deeds.audit, deeds.audit, deeds.close):
        do(world, deed)
    world.stop_farmer()
    world.on_chain(("evm_setAutomine", False))
    return now(world)


def kill(world: World, site: str) -> None:
    """Start the farmer at the time of the newest block: one dies before the step, the next after it."""
    world.skew = now(world) - int(time.time())
    for moment in Moment:
        world.start_farmer(find_sites()[site].point(moment))
        assert world.farmer_died() == KILLED, f"{moment} {site}\n{world.log()}"
        assert world.judge(AT_ALL_TIMES) == [], f"{moment} {site}"


def claimed(world: World) -> bool:
    return any(channel.claimed for channel in world.seen.replay().values())


def now(world: World) -> int:
    """The time of the newest block."""
    return int(world.seen.ask("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


def mine(world: World, at: int, *, gas: int = EMPTY, price: int = 10**9) -> None:
    """Make a block; what has no room in it is dropped."""
    world.on_chain(
        ("evm_setBlockGasLimit", hex(gas)),
        ("anvil_setNextBlockBaseFeePerGas", hex(price)),
        ("evm_setNextBlockTimestamp", hex(at)),
        ("evm_mine",),
        ("evm_setBlockGasLimit", hex(EMPTY)),
    )
    if gas == FULL:
        world.on_chain(("anvil_dropAllTransactions",))
    world.skew = at - int(time.time())
