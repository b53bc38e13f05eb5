"""A renter that signs through a contract (ERC-1271): the accounts of the contracts' own tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from eth_abi.abi import encode

from payments.eip712 import keccak
from payments.types import Address
from settlement.calls import Call
from settlement.transactions import send_now
from tests.contracts.compiler import compile_support
from tests.node.farmer.support import DEPOSIT, Renter, Rig

FORGET = keccak(b"forget()")[:4]


def compile_accounts() -> dict[str, bytes]:
    """The creation code of every account of the contracts' tests."""
    built = compile_support()
    return {
        name: bytes.fromhex(made["bytecode"].removeprefix("0x"))
        for name, made in built.items()
        if name.endswith("Account")
    }


class AccountRenter(Renter):
    """A renter whose channel is signed for by a contract, which knows the renter's key."""

    async def move_in(self, code: bytes) -> None:
        """Put the account on the chain and fund a channel that it signs for."""
        world = self.rig.world
        arguments = encode(["address"], [self.signer.address])
        made = await send_now(world.chain.rpc, world.payer, None, code + arguments)
        assert made.contract is not None
        self.account: Address = made.contract
        self.terms = replace(self.terms, signer=self.account)
        rows = [(self.terms.payee, DEPOSIT)]
        terms = self.terms
        await world.send(world.chain.calls.fund(terms.signer, terms.challenge_period, terms.salt, rows))

    async def forget(self) -> None:
        """Let the account disown all it has signed."""
        await self.rig.world.send(Call(self.account, FORGET))


@asynccontextmanager
async def account_renter(rig: Rig, code: bytes) -> AsyncIterator[AccountRenter]:
    renter = AccountRenter(rig)
    try:
        await renter.move_in(code)
        yield renter
    finally:
        await renter.transport.close()
