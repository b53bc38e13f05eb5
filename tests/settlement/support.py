"""A small world on a real chain: a deployment, a payer with tokens, a signer, some payees."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from web3.providers import AsyncBaseProvider
from web3.types import RPCEndpoint

from payments.channel import Status
from payments.types import Address, Amount, ChannelId, Seconds, Timestamp
from payments.vouchers import SigningKey, Terms, Voucher, channel_id, channel_salt, sign_voucher
from settlement.calls import Call, Claim
from settlement.chain_events import ChainEvent
from settlement.client import Chain, ChannelState
from settlement.database import Database
from settlement.deployment import deploy
from settlement.local_chain import dev_keys
from settlement.rpc import Receipt, Rpc
from settlement.tables import list_channels
from settlement.transactions import send_now
from settlement.wallet import new_key

T = TypeVar("T")
E = TypeVar("E", bound=ChainEvent)

PERIOD = Seconds(60)


def run(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(story)


@dataclass(frozen=True)
class World:
    """Keys with money and a chain. Every world has its own token, payer and signer, and looks at its own days
    only: worlds on one chain share PaymentChannels."""

    chain: Chain
    payer: SigningKey
    signer: SigningKey
    stranger: SigningKey
    salt: bytes

    def terms(self, payee: Address, *, salt: bytes | None = None) -> Terms:
        token = self.chain.deployment.token
        return Terms(self.payer.address, self.signer.address, payee, token, PERIOD, salt or self.salt)

    def id(self, payee: Address) -> ChannelId:
        return channel_id(self.chain.domain, self.terms(payee))

    async def send(self, call: Call, key: SigningKey | None = None) -> Receipt:
        return await send_now(self.chain.rpc, key or self.payer, call.to, call.data, call.value)

    def fund_call(self, targets: Sequence[tuple[Address, int]]) -> Call:
        rows = [(payee, Amount(target)) for payee, target in targets]
        return self.chain.calls.fund(self.signer.address, PERIOD, self.salt, rows)

    async def fund(self, *targets: tuple[Address, int]) -> Receipt:
        return await self.send(self.fund_call(targets))

    async def request_close(self, *payees: Address) -> Receipt:
        return await self.send(self.chain.calls.request_close(self.signer.address, PERIOD, self.salt, payees))

    async def withdraw(self, *payees: Address) -> Receipt:
        return await self.send(self.chain.calls.withdraw(self.signer.address, PERIOD, self.salt, payees))

    async def push(self, *totals: tuple[Address, int]) -> Receipt:
        rows = [(payee, Amount(total)) for payee, total in totals]
        return await self.send(self.chain.calls.push(self.signer.address, PERIOD, self.salt, rows))

    def voucher(self, payee: Address, total: int, *, signer: SigningKey | None = None) -> Claim:
        terms = self.terms(payee)
        promise = Voucher(channel_id(self.chain.domain, terms), Amount(total))
        return Claim(terms, sign_voucher(self.chain.domain, promise, signer or self.signer))


@asynccontextmanager
async def world(
    endpoint: str | AsyncBaseProvider, *, confirmations: int = 1, allowance: int = 10**24
) -> AsyncIterator[World]:
    """Deploy for a payer of its own; approve the contract."""
    rich, stranger, *_ = dev_keys()
    rpc = await Rpc.open(endpoint)
    try:
        payer = new_key()
        await send_now(rpc, rich, payer.address, value=100 * 10**18)
        before = await rpc.block()
        assert before is not None
        record = await deploy(rpc, payer, "test", confirmations=confirmations)
        record = replace(record, deployed_block=max(record.deployed_block, before.number + 1))
        chain = await Chain.connect(rpc, record)
        await send_now(rpc, payer, record.token, chain.calls.approve(allowance).data)
        yield World(chain, payer, new_key(), stranger, channel_salt(record.genesis_hash, 0))
    finally:
        await rpc.close()


def payee(number: int) -> Address:
    return Address(number.to_bytes(20, "big") if number > 10**9 else (10**30 + number).to_bytes(20, "big"))


def all_of(kind: type[E], events: Iterable[ChainEvent]) -> list[E]:
    """The events, every one of which must be of this kind."""
    found: list[E] = []
    for event in events:
        assert isinstance(event, kind), event
        found.append(event)
    return found


def channel_state(deposit: int, claimed: int, closes_at: int) -> ChannelState:
    return ChannelState(Amount(deposit), Amount(claimed), Timestamp(closes_at))


async def reorganise(rpc: Rpc, depth: int) -> None:
    """Let Anvil replace its newest blocks by empty ones. It wants its number plain, not in hex."""
    answer = await rpc.provider.make_request(RPCEndpoint("anvil_reorg"), [depth, []])
    assert "error" not in answer, answer


def deep(w: World, confirmations: int, through: Chain | None = None) -> Chain:
    """The same chain for somebody who waits for so many confirmations; `through` other endpoints perhaps."""
    chain = through or w.chain
    return Chain(chain.rpc, replace(chain.deployment, confirmations=confirmations))


def held(database: Database) -> dict[bytes, Any]:
    """What we hold of funded channels; one that is closing and empty is as good as closed."""
    found: dict[bytes, Any] = {}
    for one in database.read(list_channels):
        ended = one.closes_at > 0 and one.claimed == one.deposit
        status = Status.CLOSED if ended else one.status
        if one.deposit:
            found[one.id] = (one.deposit, one.claimed, one.closes_at, status)
    return found
