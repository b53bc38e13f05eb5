"""The outbox: each wish is sent once, in order, and done at confirmation depth."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from payments.types import Amount
from settlement import outbox as outbox_module
from settlement.calls import Call
from settlement.chain_events import ChannelFunded
from settlement.client import Chain
from settlement.database import Database
from settlement.errors import ChainUnreachable, TransactionFailed, TransactionPending, TransactionTooLarge
from settlement.local_chain import ChainKind, LocalChain, embedded, mine
from settlement.outbox import Outbox
from settlement.outbox_store import Phase, load_queued
from settlement.reverts import ERC20InsufficientBalance
from settlement.rpc import Fees
from settlement.transactions import MAX_CALL_BYTES, Transaction, sign_transaction
from tests.databases import on_both
from tests.settlement.conftest import Endpoint
from tests.settlement.outboxes import still_world
from tests.settlement.support import World, all_of, payee, run, world

ALICE, BOB = payee(1), payee(2)


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
