"""The outbox: whatever happens to process, node or pool, each wish is carried out once."""

import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from payments.types import Address, Amount
from settlement import outbox as outbox_module
from settlement.calls import Call
from settlement.chain_events import ChannelFunded
from settlement.client import Chain, ChannelState
from settlement.database import Database
from settlement.errors import (
    ChainUnreachable,
    FeeAboveCeiling,
    OutOfGasMoney,
    SignerRefused,
    SignerUnreachable,
    TransactionCancelled,
    TransactionFailed,
    TransactionPending,
    TransactionReplaced,
    TransactionTooLarge,
)
from settlement.external_signer import ExternalSigner
from settlement.fees import GWEI
from settlement.local_chain import ChainKind, LocalChain, embedded, give, mine
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
from settlement.reverts import ERC20InsufficientBalance
from settlement.rpc import BlockId, Fees, Rpc, Sent
from settlement.tables import TABLES
from settlement.transactions import MAX_CALL_BYTES, Transaction, sign_transaction
from settlement.wallet import new_key
from tests.databases import Place, on_both, place_of
from tests.settlement.conftest import Endpoint
from tests.settlement.signer import clef
from tests.settlement.support import World, all_of, payee, reorganise, run, world

ALICE, BOB = payee(1), payee(2)


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """SQLite, unless a test is marked `on_both`."""
    return place_of(request)


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open(TABLES)
    yield opened
    opened.close()


def test_a_submitted_call_is_executed_and_its_receipt_returned(
    endpoint: Endpoint, database: Database
) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            outbox = Outbox(database, w.chain)
            first = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            second = await outbox.submit("fund", w.fund_call([(ALICE, 10), (BOB, 5)]), w.payer)
            receipts = [await outbox.wait(first), await outbox.wait(second)]
            assert all(receipt.succeeded for receipt in receipts)
            funded = all_of(ChannelFunded, w.chain.events_of(receipts[1]))
            assert [event.deposit for event in funded] == [10, 5]
            assert outbox.open() == []
            state = await w.chain.channel_states([w.id(ALICE), w.id(BOB)])
            assert [channel.deposit for channel in state] == [10, 5]

    run(story())


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


@on_both
def test_nonces_are_dense_and_order_is_kept(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain)
            first = await w.chain.rpc.nonce(w.payer.address)
            ids = [await outbox.submit("fund", w.fund_call([(ALICE, n)]), w.payer) for n in range(1, 7)]
            queued = [database.read(partial(load_queued, queued_id=key)) for key in ids]
            assert [one.nonce for one in queued] == list(range(first, first + 6))
            assert {one.phase for one in queued} == {Phase.SENT}
            await mine(w.chain.rpc)
            for key in ids:
                assert (await outbox.wait(key)).succeeded

    run(story())


@on_both
def test_the_same_open_call_is_queued_once(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain)
            call = w.fund_call([(ALICE, 10)])
            key = await outbox.submit("fund", call, w.payer)
            assert await outbox.submit("fund", call, w.payer) == key
            assert await outbox.submit("other", call, w.payer) != key
            await mine(w.chain.rpc)
            await outbox.wait(key)
            assert await outbox.submit("fund", call, w.payer) != key

    run(story())


def test_mined_is_enough_for_the_next_call(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil, confirmations=4) as w:
            outbox = Outbox(database, w.chain)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            with pytest.raises(TransactionPending):
                await outbox.wait(key, seconds=0.2, depth=1)
            await mine(w.chain.rpc)
            assert (await outbox.wait(key, depth=1)).succeeded
            with pytest.raises(TransactionPending):
                await outbox.wait(key, seconds=0.2)
            assert [queued.id for queued in outbox.open()] == [key]
            await mine(w.chain.rpc, 3)
            assert (await outbox.wait(key)).succeeded
            assert outbox.open() == []

    run(story())


@pytest.mark.parametrize(("local", "patience"), [(True, 0.2), (False, 0.2 + 12 * 0.05)])
def test_patience_follows_from_the_confirmations(
    database: Database, monkeypatch: pytest.MonkeyPatch, local: bool, patience: float
) -> None:
    for name, seconds in {"WAIT_SECONDS": 0.2, "BLOCK_SECONDS": 0.05, "POLL_SECONDS": 0.05}.items():
        monkeypatch.setattr(outbox_module, name, seconds)

    async def story() -> None:
        async with world(embedded()) as w:
            record = replace(w.chain.deployment, confirmations=12, local=local)
            outbox = Outbox(database, Chain(w.chain.rpc, record))
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            assert (await outbox.wait(key, depth=1)).succeeded
            with pytest.raises(TransactionPending) as pending:
                await outbox.wait(key)
            assert pending.value.seconds == pytest.approx(patience)

    run(story())


def test_done_means_confirmation_depth(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil, confirmations=3) as w:
            outbox = Outbox(database, w.chain)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            for _ in range(3):
                with pytest.raises(TransactionPending) as pending:
                    await outbox.wait(key, seconds=0.2)
                await mine(w.chain.rpc)
            receipt = await outbox.wait(key)
            assert receipt.transaction == pending.value.transaction

    run(story())


@on_both
def test_what_is_stuck_is_raised_under_the_same_nonce_up_to_the_ceiling(
    still_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            clock = Clock()
            fees = await w.chain.rpc.fees()
            ceiling = fees.cap * 13 // 10
            outbox = Outbox(database, w.chain, clock=clock, stuck_seconds=60, ceiling=ceiling)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            for seconds in (30, 31, 61, 61):
                clock.now += seconds
                await outbox.tick()
            queued = database.read(lambda conn: load_queued(conn, key))
            attempts = database.read(lambda conn: list_attempts(conn, queued))
            caps = [attempt.fees.cap for attempt in attempts]
            assert len(caps) == 3
            assert caps[0] * 1.1 < caps[1] < caps[1] * 1.1 < caps[2] <= ceiling
            assert "ceiling" in outbox.open()[0].problem
            with pytest.raises(FeeAboveCeiling):
                await outbox.wait(key)
            await mine(w.chain.rpc)
            receipt = await outbox.wait(key)
            assert receipt.transaction == attempts[-1].signed.hash

    run(story())


@on_both
def test_what_the_pool_forgot_is_sent_again(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await w.chain.rpc.request("anvil_dropAllTransactions")
            await mine(w.chain.rpc)
            await outbox.tick()
            await mine(w.chain.rpc)
            assert (await outbox.wait(key)).succeeded

    run(story())


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


def test_without_gas_money_the_work_waits(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            await w.fund((ALICE, 10))
            outbox, poor = Outbox(database, w.chain), new_key()
            key = await outbox.submit("claim", w.chain.calls.claim([w.voucher(ALICE, 7)]), poor)
            with pytest.raises(OutOfGasMoney) as caught:
                await outbox.wait(key)
            assert (caught.value.sender, caught.value.balance) == (poor.address, 0)
            assert "send it gas money" in outbox.open()[0].problem
            await give(w.chain.rpc, poor.address, 10**18)
            assert (await outbox.wait(key)).succeeded
            assert await w.chain.token_balance(ALICE) == 7

    run(story())


def test_above_the_ceiling_the_work_waits(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            outbox = Outbox(database, w.chain, ceiling=1)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            with pytest.raises(FeeAboveCeiling):
                await outbox.wait(key)
            generous = Outbox(database, w.chain)
            await generous.resume([w.payer])
            assert (await generous.wait(key)).succeeded

    run(story())


def test_a_call_the_contract_refuses_is_not_sent(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            outbox = Outbox(database, w.chain)
            with pytest.raises(ERC20InsufficientBalance):
                await outbox.submit("send", w.chain.calls.transfer(ALICE, Amount(1)), w.stranger)
            assert outbox.open() == []

    run(story())


@on_both
def test_a_call_that_fails_on_chain_is_named(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            await asyncio.gather(w.fund((ALICE, 10)), mine_soon(w))
            outbox = Outbox(database, w.chain)
            call = w.chain.calls.claim([w.voucher(ALICE, 7)])
            key = await outbox.submit("claim", call, w.payer)
            await overtake(w, call)
            with pytest.raises(TransactionFailed):
                await outbox.wait(key)
            assert outbox.open() == []

    async def mine_soon(w: World) -> None:
        await asyncio.sleep(0.3)
        await mine(w.chain.rpc)

    async def overtake(w: World, call: Call) -> None:
        """Somebody else claims the same voucher, pays more and comes first."""
        rpc = w.chain.rpc
        fees, nonce = await rpc.fees(), await rpc.nonce(w.stranger.address)
        dearer = Fees(fees.cap * 3, fees.cap * 2)
        first = Transaction(31337, nonce, call.to, call.data, 0, 200_000, dearer)
        await rpc.send_raw(sign_transaction(first, w.stranger).raw)
        await mine(rpc)

    run(story())


async def use_nonce(w: World, nonce: int, call: Call, gas: int = 200_000) -> None:
    """Another program with the payer's key sends something, pays more and comes first."""
    fees = await w.chain.rpc.fees()
    dearer = Fees(fees.cap * 3, fees.cap * 2)
    foreign = Transaction(31337, nonce, call.to, call.data, call.value, gas, dearer)
    await w.chain.rpc.send_raw(sign_transaction(foreign, w.payer).raw)
    await mine(w.chain.rpc)


async def finish(w: World, outbox: Outbox) -> None:
    """Mine and tick until nothing is open any more."""
    for _ in range(20):
        await outbox.tick()
        if not outbox.open():
            return
        await mine(w.chain.rpc)
    raise AssertionError(outbox.open())


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


def test_what_was_never_sent_is_dropped_when_cancelled(database: Database) -> None:
    async def story() -> None:
        async with world(embedded()) as w:
            outbox = Outbox(database, w.chain, ceiling=1)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            assert await outbox.cancel(key) is Phase.CANCELLED
            with pytest.raises(TransactionCancelled) as caught:
                await outbox.wait(key)
            assert (caught.value.purpose, caught.value.transaction) == ("fund", b"")
            assert outbox.open() == []

    run(story())


def test_what_was_sent_is_cancelled_by_an_empty_transfer_under_its_nonce(
    still_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain)
            nonce = await w.chain.rpc.nonce(w.payer.address)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            assert await outbox.cancel(key) is Phase.CANCELLING
            first, second = attempts_of(database, key)
            assert (first.cancels, second.cancels) == (False, True)
            assert second.fees.cap > first.fees.cap * 1.1
            later = Outbox(database, w.chain)  # a restart forgets nothing
            await later.resume([w.payer])
            await mine(w.chain.rpc)
            with pytest.raises(TransactionCancelled) as caught:
                await later.wait(key)
            assert caught.value.transaction == second.signed.hash
            assert (await w.chain.channel_states([w.id(ALICE)]))[0].deposit == 0
            assert await w.chain.rpc.nonce(w.payer.address) == nonce + 1
            assert await later.cancel(key) is Phase.CANCELLED
            await reorganise(w.chain.rpc, 1)
            await later.tick()
            assert [queued.phase for queued in later.open()] == [Phase.CANCELLING]

    run(story())


def attempts_of(database: Database, key: int) -> list[Attempt]:
    return database.read(lambda conn: list_attempts(conn, load_queued(conn, key)))


def test_a_cancel_that_came_too_late_leaves_the_transaction_done(
    still_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with still_world(still_anvil, confirmations=2) as w:
            outbox = Outbox(database, w.chain)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await mine(w.chain.rpc)
            assert await outbox.cancel(key) is Phase.CANCELLING
            await mine(w.chain.rpc)
            assert (await outbox.wait(key)).succeeded
            assert await outbox.cancel(key) is Phase.DONE

    run(story())


def test_what_is_wanted_again_overtakes_its_cancel(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox = Outbox(database, w.chain)
            nonce = await w.chain.rpc.nonce(w.payer.address)
            call = w.fund_call([(ALICE, 10)])
            key = await outbox.submit("fund", call, w.payer)
            await outbox.cancel(key)
            assert await outbox.submit("fund", call, w.payer) == key
            assert [one.cancels for one in attempts_of(database, key)] == [False, True, False]
            await finish(w, outbox)
            assert (await w.chain.channel_states([w.id(ALICE)]))[0].deposit == 10
            assert await w.chain.rpc.nonce(w.payer.address) == nonce + 1

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


def test_one_signer_without_money_holds_up_nobody_else(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            poor, outbox = new_key(), Outbox(database, w.chain)
            gift = Call(BOB, b"", 1)
            waiting = await outbox.submit("gift", gift, poor)
            ids = [
                await outbox.submit(f"gift {number}", gift, signer)
                for number in range(3)
                for signer in (w.payer, w.stranger)
            ]
            await mine(w.chain.rpc)
            for key in ids:
                assert (await outbox.wait(key)).succeeded
            queued = [database.read(partial(load_queued, queued_id=key)) for key in ids]
            for signer in (w.payer, w.stranger):
                own = [one.nonce for one in queued if one.sender == signer.address]
                after = await w.chain.rpc.nonce(signer.address)
                assert own == list(range(after - 3, after))
            assert [one.id for one in outbox.open()] == [waiting]

    run(story())


def test_what_was_sent_and_cannot_be_paid_any_more_waits_for_money(
    still_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            outbox, address = Outbox(database, w.chain), w.payer.address
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await w.chain.rpc.request("anvil_dropAllTransactions")
            await w.chain.rpc.request("anvil_setBalance", address, 1)
            with pytest.raises(OutOfGasMoney) as caught:
                await outbox.wait(key)
            assert (caught.value.sender, caught.value.balance) == (address, 1)
            assert "send it gas money" in outbox.open()[0].problem
            await give(w.chain.rpc, address, 10**18)
            await outbox.tick()
            await outbox.tick()
            assert outbox.open()[0].problem == ""
            await finish(w, outbox)
            assert (await w.chain.channel_states([w.id(ALICE)]))[0].deposit == 10

    run(story())


def test_what_was_paused_above_the_ceiling_goes_on_when_fees_fall(
    still_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            clock, rpc = Clock(), w.chain.rpc
            usual = await rpc.block()
            assert usual is not None
            assert usual.base_fee is not None
            outbox = Outbox(database, w.chain, clock=clock, ceiling=5 * usual.base_fee + 10 * GWEI)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await set_base_fee(w, 100 * usual.base_fee)
            clock.now += 61
            with pytest.raises(FeeAboveCeiling):
                await outbox.wait(key)
            assert len(attempts_of(database, key)) == 1
            await set_base_fee(w, 3 * usual.base_fee)
            await outbox.tick()
            assert len(attempts_of(database, key)) == 2
            await finish(w, outbox)

    async def set_base_fee(w: World, fee: int) -> None:
        await w.chain.rpc.request("anvil_setNextBlockBaseFeePerGas", fee)
        await mine(w.chain.rpc)

    run(story())


def test_without_a_chain_the_work_waits(database: Database) -> None:
    async def story(chain: LocalChain) -> None:
        async with world(chain.url) as w:
            outbox = Outbox(database, w.chain)
            chain.stop()
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            with pytest.raises(ChainUnreachable):
                await outbox.wait(key, seconds=0.3)
            assert [queued.id for queued in outbox.open()] == [key]

    with LocalChain.start(ChainKind.ANVIL, block_time=0.1) as chain:
        run(story(chain))


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from payments.vouchers import SigningKey
from settlement import outbox as module
from settlement.calls import Call
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.outbox import Outbox
from settlement.tables import TABLES

folder, point, secret, data = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Mortal(Outbox):
    async def _send(self, queued):
        if point == "wished":
            die()
        await super()._send(queued)

    async def _broadcast(self, queued, attempt):
        if point == "signed":
            die()
        await super()._broadcast(queued, attempt)
        if point == "broadcast":
            die()

    async def _end(self, queued):
        if point == "mined":
            die()
        await super()._end(queued)

async def main():
    record = Deployment.load(folder / "record.json")
    chain = await Chain.connect(record.url, record)
    outbox = Mortal(Database.at(folder / "money.db", TABLES), chain)
    key = SigningKey(bytes.fromhex(secret))
    queued = await outbox.submit("fund", Call(record.contract, bytes.fromhex(data)), key)
    await outbox.wait(queued)

asyncio.run(main())
"""


@pytest.mark.parametrize("point", ["wished", "signed", "broadcast", "mined"])
def test_after_kill_9_the_wish_is_carried_out_exactly_once(
    anvil: LocalChain, tmp_path: Path, point: str
) -> None:
    async def story() -> None:
        async with world(anvil.url) as w:
            w.chain.deployment.save(tmp_path / "record.json")
            call = w.fund_call([(ALICE, 10)])
            before = await w.chain.rpc.nonce(w.payer.address)
            arguments = [str(tmp_path), point, w.payer.secret.hex(), call.data.hex()]
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, *arguments)
            assert await child.wait() == -signal.SIGKILL
            database = Database.at(tmp_path / "money.db", TABLES)
            try:
                outbox = Outbox(database, w.chain)
                (queued, *rest) = outbox.open()
                assert rest == []
                await outbox.resume([w.payer])
                assert (await outbox.wait(queued.id)).succeeded
                assert await w.chain.rpc.nonce(w.payer.address) == before + 1
                assert (await w.chain.channel_states([w.id(ALICE)]))[0].deposit == 10
            finally:
                database.close()

    run(story())


@on_both
def test_another_program_cancels_what_this_one_has_sent(still_anvil: LocalChain, place: Place) -> None:
    async def story() -> None:
        async with still_world(still_anvil) as w:
            ours, theirs = Outbox(place.open(TABLES), w.chain), Outbox(place.open(TABLES), w.chain)
            queued = await ours.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            assert await theirs.cancel(queued) is Phase.CANCELLING  # it has no key
            await ours.tick()
            await mine(w.chain.rpc)
            with pytest.raises(TransactionCancelled):
                await ours.wait(queued, 10)
            (state,) = await w.chain.channel_states([w.id(ALICE)])
            assert state.deposit == 0

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


def test_loop_goes_on_while_the_owner_of_a_key_decides(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            with clef(w.payer) as signer:
                loop, asked, decided = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

                def hesitate() -> None:
                    loop.call_soon_threadsafe(asked.set)
                    decided.wait(30)

                signer.hesitates = hesitate
                outbox = Outbox(database, w.chain)
                key = ExternalSigner(signer.url, w.payer.address)
                submitting = asyncio.create_task(outbox.submit("fund", w.fund_call([(ALICE, 10)]), key))
                await asked.wait()
                assert not submitting.done()
                decided.set()
                assert (await outbox.wait(await submitting)).succeeded

    run(story())


def test_what_the_owner_of_a_key_refuses_is_given_up(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            with clef(w.payer) as signer:
                signer.denies = True
                outbox = Outbox(database, w.chain)
                key = ExternalSigner(signer.url, w.payer.address)
                with pytest.raises(SignerRefused, match="request denied"):
                    await outbox.submit("fund", w.fund_call([(ALICE, 10)]), key)
                await outbox.tick()
                assert len(signer.seen) == 1
                assert outbox.open() == []

    run(story())


def test_what_a_signer_that_is_down_should_sign_waits_for_it(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            with clef(w.payer) as signer:
                pass
            outbox = Outbox(database, w.chain)
            queued = await outbox.submit(
                "fund", w.fund_call([(ALICE, 10)]), ExternalSigner(signer.url, w.payer.address)
            )
            with pytest.raises(SignerUnreachable, match="gave no answer"):
                await outbox.wait(queued)
            assert "gave no answer" in outbox.open()[0].problem
            with clef(w.payer) as again:
                outbox.hold([ExternalSigner(again.url, w.payer.address)])
                assert (await outbox.wait(queued)).succeeded

    run(story())


def test_owner_that_refuses_more_fee_is_left_in_peace(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        clock = Clock()
        async with still_world(still_anvil) as w:
            with clef(w.payer) as signer:
                outbox = Outbox(database, w.chain, stuck_seconds=10, clock=clock)
                key = ExternalSigner(signer.url, w.payer.address)
                queued = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), key)
                signer.denies = True
                for _ in range(5):
                    clock.now += 11
                    await outbox.tick()
                assert len(signer.seen) == 2
                clock.now += 600
                signer.denies = False
                await outbox.tick()
                assert len(attempts_of(database, queued)) == 2
                await mine(w.chain.rpc)
                assert (await outbox.wait(queued)).succeeded

    run(story())


def test_what_no_chain_takes_is_not_signed_and_holds_no_nonce(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            outbox = Outbox(database, w.chain)
            with pytest.raises(TransactionTooLarge) as caught:
                await outbox.submit("claim", Call(ALICE, bytes(MAX_CALL_BYTES + 1)), w.payer)
            assert (caught.value.size, caught.value.limit) == (MAX_CALL_BYTES + 1, MAX_CALL_BYTES)
            assert outbox.open() == []
            await outbox.wait(await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer))

    run(story())
