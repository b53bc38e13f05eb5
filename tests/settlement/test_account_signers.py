"""What the client learns from accounts that sign (ERC-1271): a yes is one word, everything else is a no.

They are asked as PaymentChannels asks them: in its name and with its gas.
"""

import os

import pytest
from eth_abi.abi import encode

from payments.types import Address
from settlement.transactions import send_now
from settlement.wallet import new_key
from tests.contracts.compiler import compile_support
from tests.settlement.conftest import Endpoint
from tests.settlement.support import World, run, world

DIGEST = b"\x11" * 32
MANNERS = 9
WRITES = 6
"""An account that writes while it answers: a call lets it, the contract's static call does not."""


@pytest.fixture(scope="module")
def accounts() -> dict[str, bytes]:
    built = compile_support()
    return {
        name: bytes.fromhex(made["bytecode"].removeprefix("0x"))
        for name, made in built.items()
        if name.endswith("Account")
    }


async def put(scene: World, code: bytes, types: list[str], values: list[object]) -> Address:
    made = await send_now(scene.chain.rpc, scene.payer, None, code + encode(types, values))
    assert made.contract is not None
    return made.contract


def test_only_the_word_of_the_standard_is_a_yes(endpoint: Endpoint, accounts: dict[str, bytes]) -> None:
    async def story() -> None:
        async with world(endpoint()) as scene:
            head, signature = await scene.chain.head(), new_key().sign(DIGEST)

            async def accepts(account: Address, digest: bytes = DIGEST) -> bool:
                block = (await scene.chain.head()).number
                return await scene.chain.account_accepts(account, digest, signature, block=block)

            willing = await put(scene, accounts["WillingAccount"], ["bytes32", "bytes"], [DIGEST, signature])
            assert await accepts(willing)
            assert not await accepts(willing, b"\x12" * 32)
            assert not await scene.chain.account_accepts(willing, DIGEST, signature, block=head.number)
            assert not await accepts(Address(os.urandom(20)))
            asker = scene.chain.deployment.contract
            assert await accepts(await put(scene, accounts["AttentiveAccount"], ["address"], [asker]))
            for manner in set(range(MANNERS)) - {WRITES}:
                awkward = await put(scene, accounts["AwkwardAccount"], ["uint8"], [manner])
                assert not await accepts(awkward), manner

    run(story())
