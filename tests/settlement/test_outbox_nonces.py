"""The outbox and its nonces: blocks replaced, gaps, and other programs that hold the same key."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection

from payments.types import Address, Amount
from settlement.calls import Call
from settlement.client import Chain, ChannelState
from settlement.database import Database
from settlement.errors import TransactionReplaced
from settlement.local_chain import LocalChain, mine
from settlement.outbox import Outbox
from settlement.outbox_store import (
    Attempt,
    Phase,
    Queued,
    add_attempt,
    add_wish,
    list_attempts,
    load_queued,
    update_queued,
)
from settlement.rpc import BlockId, Fees, Rpc, Sent
from settlement.transactions import Transaction, sign_transaction
from settlement.wallet import new_key
from tests.databases import on_both
from tests.settlement.outboxes import finish, still_world
from tests.settlement.support import World, payee, reorganise, run

ALICE, BOB = payee(1), payee(2)


def test_what_a_reorganisation_threw_out_is_sent_again(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await mine(w.chain.rpc)
            await outbox.wait(key)
            await reorganise(w.chain.rpc, 1)
            assert (await state(w)).deposit == 0
            await outbox.tick()
            assert outbox.open() != []
            await mine(w.chain.rpc)
            assert (await outbox.wait(key)).succeeded
            assert (await state(w)).deposit == 10
            later = await outbox.submit("fund", w.fund_call([(ALICE, 11)]), w.payer)
            await mine(w.chain.rpc)
            await outbox.wait(later)

    async def state(w: World) -> ChannelState:
        return (await w.chain.channel_states([w.id(ALICE)]))[0]

    run(story())


async def use_nonce(w: World, nonce: int, call: Call, gas: int = 200_000) -> None:
    """Another program with the payer's key sends something, pays more and comes first."""
    fees = await w.chain.rpc.fees()
    dearer = Fees(fees.cap * 3, fees.cap * 2)
    foreign = Transaction(31337, nonce, call.to, call.data, call.value, gas, dearer)
    await w.chain.rpc.send_raw(sign_transaction(foreign, w.payer).raw)
    await mine(w.chain.rpc)


def test_what_lost_its_nonce_to_another_program_is_sent_under_a_new_one(
    still_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain, foreign_seconds=0)
            nonce = await w.chain.rpc.nonce(w.payer.address)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await use_nonce(w, nonce, Call(BOB, b"", 1))
            await finish(w, outbox)
            queued = database.read(lambda conn: load_queued(conn, key))
            assert (queued.phase, queued.nonce) == (Phase.DONE, nonce + 1)
            assert (await w.chain.channel_states([w.id(ALICE)]))[0].deposit == 10
            assert await w.chain.rpc.nonce(w.payer.address) == nonce + 2

    run(story())


def test_what_another_copy_has_sent_is_not_sent_twice(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain, foreign_seconds=0)
            nonce = await w.chain.rpc.nonce(w.payer.address)
            call = w.chain.calls.transfer(ALICE, Amount(7))
            key = await outbox.submit("send", call, w.payer)
            await use_nonce(w, nonce, call)
            assert (await outbox.wait(key)).succeeded
            await finish(w, outbox)
            assert await w.chain.token_balance(ALICE) == 7
            assert await w.chain.rpc.nonce(w.payer.address) == nonce + 1

    run(story())


class Forgetful(Rpc):
    """A node that shows no transactions."""

    async def transactions(self, block: int) -> tuple[Sent, ...]:
        return () if block >= 0 else await super().transactions(block)


def test_what_cannot_be_known_is_not_sent_again(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            blind = Chain(Forgetful(w.chain.rpc.endpoints), w.chain.deployment)
            outbox = Outbox(database, blind, foreign_seconds=0)
            nonce = await w.chain.rpc.nonce(w.payer.address)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await use_nonce(w, nonce, Call(BOB, b"", 1))
            with pytest.raises(TransactionReplaced) as caught:
                await outbox.wait(key)
            assert (caught.value.sender, caught.value.nonce) == (w.payer.address, nonce)
            assert outbox.open() == []

    run(story())


def test_a_nonce_that_nothing_uses_is_filled(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain)
            nonce = await w.chain.rpc.nonce(w.payer.address)
            fees = await w.chain.rpc.fees()
            foreign = Transaction(31337, nonce, BOB, b"", 1, 21_000, fees)
            await w.chain.rpc.send_raw(sign_transaction(foreign, w.payer).raw)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            assert database.read(lambda conn: load_queued(conn, key)).nonce == nonce + 1
            await w.chain.rpc.request("anvil_dropAllTransactions")
            await finish(w, outbox)
            assert (await w.chain.channel_states([w.id(ALICE)]))[0].deposit == 10
            assert await w.chain.balance(BOB) == 0
            assert await w.chain.rpc.nonce(w.payer.address) == nonce + 2

    run(story())


def test_a_reorganisation_in_the_midst_of_a_tick_makes_no_gap(
    still_anvil: LocalChain, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox, rpc = Outbox(database, w.chain), w.chain.rpc
            nonce = await rpc.nonce(w.payer.address)
            first = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await mine(rpc)
            await outbox.wait(first)
            second = await outbox.submit("fund", w.fund_call([(BOB, 10)]), w.payer)
            ask = rpc.nonce

            async def moved_meanwhile(sender: Address, *block: BlockId) -> int:
                monkeypatch.undo()
                found = await ask(sender, *block)
                await reorganise(rpc, 1)
                await rpc.request("anvil_dropAllTransactions")  # as the pool of a node that was away
                assert await ask(w.payer.address) == nonce < found
                return found

            monkeypatch.setattr(rpc, "nonce", moved_meanwhile)
            await outbox.tick()
            assert {queued.id for queued in outbox.open()} == {second}
            await outbox.tick()
            assert {queued.id for queued in outbox.open()} == {first, second}
            await mine(rpc)
            assert (await outbox.wait(first)).succeeded
            assert (await outbox.wait(second)).succeeded
            assert await rpc.nonce(w.payer.address) == nonce + 2

    run(story())


def signed(queued: Queued, nonce: int) -> tuple[Queued, Attempt]:
    """A transaction as a program is about to keep it, signed with this nonce."""
    call = queued.call
    wish = Transaction(31_337, nonce, call.to, call.data, call.value, 21_000, Fees(1, None))
    return replace(queued, nonce=nonce), Attempt(sign_transaction(wish, new_key()), wish.fees, 0)


@on_both
def test_two_programs_neither_take_one_nonce_nor_sign_one_wish_twice(database: Database) -> None:
    def step(conn: Connection) -> None:
        one, other = (add_wish(conn, "gift", ALICE, Call(BOB, b"", value), 0) for value in (1, 2))
        assert add_attempt(conn, *signed(one, 7)) is not None
        assert add_attempt(conn, *signed(one, 8)) is None  # it has been sent
        assert add_attempt(conn, *signed(other, 7)) is None
        assert load_queued(conn, other.id) == other
        assert len(list_attempts(conn, one)) == 1
        update_queued(conn, replace(other, phase=Phase.CANCELLED))
        assert add_attempt(conn, *signed(other, 8)) is None

    database.write_sync(step)
