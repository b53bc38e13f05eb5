"""The outbox takes back what was sent: an empty transfer under the same nonce, as far as it comes in time."""

import pytest

from settlement.database import Database
from settlement.errors import TransactionCancelled
from settlement.local_chain import LocalChain, embedded, mine
from settlement.outbox import Outbox
from settlement.outbox_store import Phase
from settlement.tables import TABLES
from tests.databases import Place, on_both
from tests.settlement.outboxes import attempts_of, finish, still_world
from tests.settlement.support import payee, reorganise, run, world

ALICE = payee(1)


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
