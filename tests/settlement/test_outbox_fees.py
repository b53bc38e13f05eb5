"""The outbox and money: what is stuck is raised, what cannot be paid for waits and holds up nobody else."""

from functools import partial

import pytest

from settlement.calls import Call
from settlement.database import Database
from settlement.errors import FeeAboveCeiling, OutOfGasMoney
from settlement.fees import GWEI
from settlement.local_chain import LocalChain, give, mine
from settlement.outbox import Outbox
from settlement.outbox_store import list_attempts, load_queued
from settlement.wallet import new_key
from tests.databases import on_both
from tests.settlement.conftest import Endpoint
from tests.settlement.outboxes import Clock, attempts_of, finish, still_world
from tests.settlement.support import World, payee, run, world

ALICE, BOB = payee(1), payee(2)


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
