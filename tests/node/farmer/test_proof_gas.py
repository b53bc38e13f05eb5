"""What a proof costs by real transactions on Anvil: the figure by which farmers weigh it holds."""

import asyncio

from node.farmer.claimable import PROOF_BYTE_GAS
from settlement.calls import Claim
from settlement.local_chain import ChainKind, LocalChain
from tests.settlement.proofs import proven
from tests.settlement.support import World, payee, world

LEAVES = 2_300
"""Of a shard of 2.3 MB."""


async def gas_of(w: World, claims: list[Claim]) -> int:
    return (await w.send(w.chain.calls.claim(claims), w.stranger)).gas_used


async def byte_gas(w: World, first: int, *, rows: int, indices: tuple[int, ...], items: int) -> float:
    """What a byte of these proofs adds to plain claims of as many rows; all payees were paid before."""
    payees = [payee(first + number) for number in range(2 * rows)]
    plain, shown = payees[:rows], payees[rows:]
    await w.fund(*((one, 5_000) for one in payees))
    await gas_of(w, [w.voucher(one, 10) for one in payees])
    base = await gas_of(w, [w.voucher(one, 100) for one in plain])
    claims = [proven(w, one, 100, leaves=LEAVES, indices=indices, items=items) for one in shown]
    return (await gas_of(w, claims) - base) / sum(len(claim.proof) for claim in claims)


def test_a_byte_of_a_proof_costs_at_most_what_farmers_reckon_with() -> None:
    async def story(url: str) -> None:
        async with world(url) as w:
            alone = await byte_gas(w, 1_000, rows=1, indices=(700,), items=1)
            many = await byte_gas(w, 2_000, rows=5, indices=(1, 700), items=8)
            assert alone < many <= PROOF_BYTE_GAS <= 1.03 * many

    with LocalChain.start(ChainKind.ANVIL, block_time=0.1) as anvil:
        asyncio.run(story(anvil.url))
