"""Everything the contract knows of its channels stands in its logs: random lives, rebuilt from logs alone."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import assert_never

import pytest

from node.audit import Challenge, Item, Proof, challenge_digest
from node.merkle import build_tree
from node.packed_proof import pack_proof
from payments.eip712 import address_word, keccak, type_hash, typed_digest, word
from payments.types import ZERO32, Address, Amount, ChannelId, Timestamp
from payments.vouchers import SigningKey, Terms, Voucher, channel_id, sign_voucher
from settlement.abi import CHANNELS, encode_call
from settlement.calls import Call
from settlement.chain_events import (
    ChainEvent,
    ChannelClaimed,
    ChannelCloseRequested,
    ChannelFunded,
    ChannelWithdrawn,
    RowSkipped,
    key,
    row,
)
from settlement.client import ChannelState
from settlement.errors import Reverted
from settlement.local_chain import embedded, give, warp
from settlement.wallet import new_key
from tests.node.support import make_item_proof
from tests.settlement.support import PERIOD, World, world

RELAY_FEE_TYPE = type_hash(
    "RelayFee(address relayer,bytes32 channelId,uint96 cumulativeAmount,uint96 maximum,uint64 deadline)"
)
FOREVER = 2**64 - 1
SHARD = b"one leaf is enough here"
STEPS = 150
MOST = 200
"""Of any total."""


@dataclass
class Lives:
    """Channels of one payer to payees with keys; random things happen to them."""

    w: World
    dice: random.Random
    payees: list[SigningKey]
    salts: list[bytes]
    done: Counter[str] = field(default_factory=Counter)

    def somebody(self) -> SigningKey:
        return self.dice.choice(self.payees)

    def some(self) -> list[SigningKey]:
        return self.dice.sample(self.payees, self.dice.randint(1, len(self.payees)))

    @property
    def token(self) -> Address:
        return self.w.chain.deployment.token

    def total(self) -> int:
        return self.dice.randint(1, MOST)

    def terms(self, payee: SigningKey) -> Terms:
        return self.w.terms(payee.address, salt=self.dice.choice(self.salts))

    def all_ids(self) -> list[ChannelId]:
        every = [self.w.terms(payee.address, salt=salt) for payee in self.payees for salt in self.salts]
        return [channel_id(self.w.chain.domain, terms) for terms in every]

    def head(self) -> tuple[Address, Address, int, bytes]:
        return self.w.signer.address, self.token, PERIOD, self.dice.choice(self.salts)

    def rows(self, most: int) -> list[bytes]:
        return [row(payee.address, Amount(self.dice.randint(0, most))) for payee in self.some()]

    def claim_row(self, terms: Terms, total: int, condition: bytes = ZERO32) -> tuple[object, ...]:
        domain, signer = self.w.chain.domain, self.w.signer
        voucher = Voucher(channel_id(domain, terms), Amount(total), condition)
        by = signer if self.dice.random() < 0.8 else self.w.stranger
        signature = sign_voucher(domain, voucher, by).signature
        words = (key(terms.signer, PERIOD), row(terms.payee, Amount(total)), terms.salt)
        return (terms.payer, *words, signature[:32], signature[32:])

    def call(self, function: str, *arguments: object) -> Call:
        return Call(self.w.chain.deployment.contract, encode_call(CHANNELS, function, *arguments))

    def next(self) -> tuple[Call, SigningKey]:
        """Make a random call and say who sends it."""
        return self.dice.choice(
            [
                self.fund,
                self.fund_one,
                self.fund_with_permit,
                self.claim,
                self.claim_one,
                self.claim_proven,
                self.claim_one_proven,
                self.relay,
                self.relay,
                self.push,
                self.request_close,
                self.withdraw,
                self.release,
            ]
        )()

    def fund(self) -> tuple[Call, SigningKey]:
        return self.call("fund", *self.head(), self.rows(MOST)), self.w.payer

    def fund_one(self) -> tuple[Call, SigningKey]:
        signer, token, _, salt = self.head()
        packed = (key(signer, PERIOD), salt, self.rows(MOST)[0])
        return self.call("fundOne", token, *packed), self.w.payer

    def fund_with_permit(self) -> tuple[Call, SigningKey]:
        permit = (0, 0, 27, ZERO32, ZERO32)  # bad, and the allowance suffices
        return self.call("fundWithPermit", *self.head(), self.rows(MOST), permit), self.w.payer

    def claim(self) -> tuple[Call, SigningKey]:
        rows = [self.claim_row(self.terms(payee), self.total()) for payee in self.some()]
        return self.call("claim", self.token, rows), self.w.stranger

    def claim_one(self) -> tuple[Call, SigningKey]:
        claim = self.claim_row(self.terms(self.somebody()), self.total())
        return self.call("claimOne", self.token, claim), self.w.stranger

    def claim_proven(self) -> tuple[Call, SigningKey]:
        condition, proof = self.audit()
        terms, total = self.terms(self.somebody()), self.total()
        rows = [self.claim_row(terms, total, condition), self.claim_row(terms, total + 5)]
        return self.call("claimProven", self.token, rows, [proof]), self.w.stranger

    def claim_one_proven(self) -> tuple[Call, SigningKey]:
        condition, proof = self.audit()
        payee = self.somebody()
        claim = self.claim_row(self.terms(payee), self.total(), condition)
        return self.call("claimOneProven", self.token, claim, proof), payee

    def relay(self) -> tuple[Call, SigningKey]:
        made = [(payee, self.terms(payee), self.total()) for payee in self.some()]
        rows = [self.claim_row(terms, total) for _, terms, total in made]
        fees = [self.fee(payee, terms, total) for payee, terms, total in made]
        return self.call("relay", self.token, rows, fees, []), self.w.stranger

    def push(self) -> tuple[Call, SigningKey]:
        return self.call("push", *self.head(), self.rows(MOST // 4)), self.w.payer

    def request_close(self) -> tuple[Call, SigningKey]:
        payees = [payee.address for payee in self.some()]
        return self.call("requestClose", *self.head(), payees), self.w.payer

    def withdraw(self) -> tuple[Call, SigningKey]:
        return self.call("withdraw", *self.head(), [payee.address for payee in self.payees]), self.w.payer

    def release(self) -> tuple[Call, SigningKey]:
        payee = self.somebody()
        return self.w.chain.calls.release(self.terms(payee)), payee

    def audit(self) -> tuple[bytes, bytes]:
        tree = build_tree(SHARD)
        item = Item(self.dice.randbytes(32), tree.root, 1, (0,))
        challenge = Challenge(self.dice.randbytes(32), (item,))
        proof = Proof((make_item_proof(item, tree, lambda _: SHARD),))
        return challenge_digest(self.w.chain.domain, challenge), pack_proof(challenge, proof)

    def fee(self, payee: SigningKey, terms: Terms, total: int) -> tuple[bytes, bytes, bytes]:
        domain, amount = self.w.chain.domain, self.dice.randint(0, 12)
        fields = (address_word(self.w.stranger.address), channel_id(domain, terms), word(total), word(10))
        digest = typed_digest(domain, keccak(RELAY_FEE_TYPE + b"".join(fields) + word(FOREVER)))
        signature = (payee if self.dice.random() < 0.8 else self.w.payer).sign(digest)
        packed = amount.to_bytes(12) + (10).to_bytes(12) + FOREVER.to_bytes(8)
        return packed, signature[:32], signature[32:]


def rebuild(events: tuple[ChainEvent, ...]) -> dict[ChannelId, ChannelState]:
    """Read the state of every channel from what the contract said, and from nothing else."""
    states: dict[ChannelId, ChannelState] = {}
    for event in events:
        state = states.get(event.channel_id, ChannelState(Amount(0), Amount(0), Timestamp(0)))
        match event:
            case ChannelFunded():
                state = replace(state, deposit=event.deposit)
            case ChannelClaimed():
                state = replace(state, claimed=event.claimed)
            case ChannelCloseRequested():
                state = replace(state, closes_at=event.closes_at)
            case ChannelWithdrawn():
                assert event.amount == state.deposit - state.claimed
                state = replace(state, claimed=state.deposit)
            case RowSkipped():
                pass
            case _:
                assert_never(event)
        states[event.channel_id] = state
    return states


@pytest.mark.parametrize("seed", range(3))
def test_every_channel_is_rebuilt_from_logs_alone(seed: int) -> None:
    async def story() -> None:
        async with world(embedded()) as w:
            dice = random.Random(seed)
            lives = Lives(
                w, dice, [new_key() for _ in range(3)], [w.salt, *(dice.randbytes(32) for _ in range(4))]
            )
            for payee in lives.payees:
                await give(w.chain.rpc, payee.address, 10**18)
            for _ in range(STEPS):
                call, sender = lives.next()
                try:
                    before = await w.chain.token_balance(w.stranger.address)
                    events = w.chain.events_of(await w.send(call, sender))
                except Reverted:
                    lives.done["reverted"] += 1
                    continue
                lives.done.update(type(event).__name__ for event in events)
                fees = sum(event.fee for event in events if isinstance(event, ChannelClaimed))
                lives.done["fees"] += fees
                assert await w.chain.token_balance(w.stranger.address) == before + fees
                if dice.random() < 0.2:
                    await warp(w.chain.rpc, PERIOD)
            first = w.chain.deployment.deployed_block
            told = rebuild(await w.chain.events(first, (await w.chain.head()).number))
            ids = lives.all_ids()
            held = dict(zip(ids, await w.chain.channel_states(ids), strict=True))
            nothing = ChannelState(Amount(0), Amount(0), Timestamp(0))
            assert {id_: told.get(id_, nothing) for id_ in ids} == held
            owed = sum(state.deposit - state.claimed for state in held.values())
            assert await w.chain.token_balance(w.chain.deployment.contract) == owed
            for kind in (ChannelFunded, ChannelClaimed, ChannelCloseRequested, ChannelWithdrawn, RowSkipped):
                assert lives.done[kind.__name__] > 0, lives.done
            assert lives.done["fees"] > 0

    asyncio.run(story())
