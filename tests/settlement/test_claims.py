"""Claims: few transactions, one outcome for each voucher, on real chains."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from payments.types import Amount
from payments.vouchers import Voucher, channel_id, sign_voucher
from settlement import claims as claims_module
from settlement.abi import TOKEN, encode_constructor
from settlement.calls import Claim
from settlement.chain_events import Reason
from settlement.claims import Batch, Outcome, plan_claims, send_claims
from settlement.database import Database
from settlement.errors import OutOfGasMoney
from settlement.local_chain import LocalChain, give
from settlement.outbox import Outbox
from settlement.tables import TABLES
from settlement.transactions import MAX_CALL_BYTES, send_now
from settlement.wallet import new_key
from tests.settlement.conftest import Endpoint
from tests.settlement.proofs import proven, tampered
from tests.settlement.support import PERIOD, World, payee, run, world

ALICE, BOB, CAROL, DAVE, EVE = (payee(number) for number in range(1, 6))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.at(tmp_path / "money.db", TABLES)
    yield opened
    opened.close()


def told(outcomes: tuple[Outcome, ...], w: World) -> dict[str, tuple[int | None, Reason]]:
    names = {w.id(who): name for name, who in zip("ABCDE", (ALICE, BOB, CAROL, DAVE, EVE), strict=True)}
    return {names[one.channel_id]: (one.claimed, one.reason) for one in outcomes}


def test_each_voucher_has_an_outcome(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            await w.fund((ALICE, 100), (BOB, 100), (CAROL, 100), (DAVE, 100))
            await w.push((CAROL, 50), (DAVE, 100))
            outbox = Outbox(database, w.chain)
            vouchers = [
                w.voucher(ALICE, 30),
                w.voucher(BOB, 130),
                w.voucher(CAROL, 50),
                w.voucher(DAVE, 110),
                w.voucher(EVE, 5),
            ]
            plan = await plan_claims(w.chain, vouchers, w.stranger.address)
            assert [len(batch.claims) for batch in plan.batches] == [2]
            assert 0 < plan.gas < 300_000
            outcomes = await send_claims(w.chain, outbox, plan, w.stranger)
            assert told(outcomes, w) == {
                "A": (30, Reason.NONE),
                "B": (100, Reason.NONE),
                "C": (None, Reason.STALE),
                "D": (None, Reason.EMPTY),
                "E": (None, Reason.EMPTY),
            }
            assert {one.transaction is None for one in outcomes if one.claimed is not None} == {False}
            assert await w.chain.token_balance(ALICE) == 30
            assert await w.chain.token_balance(BOB) == 100
            again = await plan_claims(w.chain, vouchers, w.stranger.address)
            assert again.batches == ()

    run(story())


def test_a_bad_row_never_blocks_the_others(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            await w.fund((ALICE, 100), (BOB, 100), (CAROL, 100))
            outbox = Outbox(database, w.chain)
            forged = w.voucher(BOB, 20, signer=w.stranger)
            rows = [w.voucher(ALICE, 10), forged, w.voucher(CAROL, 30)]
            plan = await plan_claims(w.chain, rows, w.stranger.address)
            outcomes = await send_claims(w.chain, outbox, plan, w.stranger)
            assert told(outcomes, w) == {
                "A": (10, Reason.NONE),
                "B": (None, Reason.BAD_SIGNATURE),
                "C": (30, Reason.NONE),
            }
            alone = await plan_claims(w.chain, [forged], w.stranger.address)
            assert alone.batches == ()
            assert told(alone.left_out, w) == {"B": (None, Reason.BAD_SIGNATURE)}

    run(story())


def test_a_conditional_voucher_is_claimed_with_its_proof(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            await w.fund((ALICE, 100))
            claim = proven(w, ALICE, 40, leaves=9, indices=(0, 3, 8), items=2)
            plan = await plan_claims(w.chain, [claim], w.stranger.address)
            outcomes = await send_claims(w.chain, Outbox(database, w.chain), plan, w.stranger)
            assert told(outcomes, w) == {"A": (40, Reason.NONE)}
            assert await w.chain.token_balance(ALICE) == 40

    run(story())


def test_without_its_proof_a_conditional_voucher_is_worth_nothing(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            await w.fund((ALICE, 100))
            claim = proven(w, ALICE, 40)
            for bad in (replace(claim, proof=b""), tampered(claim), proven(w, ALICE, 41)):
                row = replace(bad, voucher=claim.voucher)
                plan = await plan_claims(w.chain, [row], w.stranger.address)
                assert (plan.batches, told(plan.left_out, w)) == ((), {"A": (None, Reason.BAD_SIGNATURE)})
            cut = replace(claim, proof=claim.proof[:-1])
            plan = await plan_claims(w.chain, [cut], w.stranger.address)
            assert told(plan.left_out, w) == {"A": (None, Reason.BAD_PROOF)}

    run(story())


def test_a_tampered_proof_gets_nothing_and_the_rest_of_the_sweep_is_paid(
    endpoint: Endpoint, database: Database
) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            await w.fund(*((who, 100) for who in (ALICE, BOB, CAROL, DAVE)))
            rows = [
                w.voucher(ALICE, 10),
                tampered(proven(w, BOB, 20)),
                proven(w, CAROL, 30),
                w.voucher(DAVE, 40),
            ]
            plan = await plan_claims(w.chain, rows, w.stranger.address)
            assert len(plan.batches) == 1
            outcomes = await send_claims(w.chain, Outbox(database, w.chain), plan, w.stranger)
            assert told(outcomes, w) == {
                "A": (10, Reason.NONE),
                "B": (None, Reason.BAD_SIGNATURE),
                "C": (30, Reason.NONE),
                "D": (40, Reason.NONE),
            }
            balances = [await w.chain.token_balance(who) for who in (ALICE, BOB, CAROL, DAVE)]
            assert balances == [10, 0, 30, 40]

    run(story())


def test_a_sweep_with_proofs_is_cut_to_what_pools_take(anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with world(anvil.url) as w:
            farmers = [payee(200 + number) for number in range(70)]
            await w.fund(*((farmer, 1_000) for farmer in farmers))
            rows = [proven(w, farmer, 10, leaves=2_000, indices=(1, 1_999)) for farmer in farmers[:60]]
            rows += [w.voucher(farmer, 10) for farmer in farmers[60:]]
            plan = await plan_claims(w.chain, rows, w.stranger.address)
            sizes = [len(batch.call.data) for batch in plan.batches]
            assert max(sizes) <= MAX_CALL_BYTES
            assert len(sizes) == -(-sum(sizes) // MAX_CALL_BYTES)  # none more than it takes
            outcomes = await send_claims(w.chain, Outbox(database, w.chain), plan, w.stranger)
            assert [one.claimed for one in outcomes] == [10] * 70

    run(story())


def test_a_row_that_no_transaction_carries_is_left_out_and_stops_nobody(
    endpoint: Endpoint, database: Database
) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            await w.fund((ALICE, 100), (BOB, 100))
            swollen = replace(proven(w, ALICE, 10), proof=bytes(MAX_CALL_BYTES))
            rows = [swollen, w.voucher(BOB, 20)]
            plan = await plan_claims(w.chain, rows, w.stranger.address)
            outcomes = await send_claims(w.chain, Outbox(database, w.chain), plan, w.stranger)
            assert told(outcomes, w) == {"A": (None, Reason.TOO_LARGE), "B": (20, Reason.NONE)}

    run(story())


def test_a_batch_that_cannot_be_sent_any_more_stops_no_other(anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with world(anvil.url) as w:
            await w.fund((ALICE, 100), (BOB, 100))
            forged = _batch(w, w.voucher(ALICE, 10, signer=w.stranger))
            plan = await plan_claims(w.chain, [w.voucher(BOB, 20)], w.stranger.address)
            both = replace(plan, batches=(forged, *plan.batches))
            outcomes = await send_claims(w.chain, Outbox(database, w.chain), both, w.stranger)
            assert told(outcomes, w) == {"A": (None, Reason.UNKNOWN), "B": (20, Reason.NONE)}

    run(story())


def _batch(w: World, claim: Claim) -> Batch:
    """A transaction as it would be if nobody had tried it."""
    return Batch(w.chain.calls.claim([claim]), (claim,), 100_000)


def test_a_sweep_is_cut_to_what_one_transaction_may_use(
    anvil: LocalChain, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_module, "GAS_LIMIT", 300_000)

    async def story() -> None:
        async with world(anvil.url) as w:
            farmers = [payee(100 + number) for number in range(30)]
            await w.fund(*((farmer, 1_000) for farmer in farmers))
            rows = [w.voucher(farmer, 10 + number) for number, farmer in enumerate(farmers)]
            plan = await plan_claims(w.chain, rows, w.stranger.address)
            assert len(plan.batches) > 3
            assert max(batch.gas for batch in plan.batches) <= 300_000
            outcomes = await send_claims(w.chain, Outbox(database, w.chain), plan, w.stranger)
            assert {one.channel_id: one.claimed for one in outcomes} == {
                w.id(farmer): 10 + number for number, farmer in enumerate(farmers)
            }

    run(story())


def test_many_payers_of_one_farmer_share_a_transfer(anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with world(anvil.url) as w:
            rows = []
            for number in range(20):
                salt = number.to_bytes(32, "big")
                await w.send(w.chain.calls.fund(w.signer.address, PERIOD, salt, [(ALICE, Amount(50))]))
                terms = w.terms(ALICE, salt=salt)
                promise = Voucher(channel_id(w.chain.domain, terms), Amount(7))
                rows.append(Claim(terms, sign_voucher(w.chain.domain, promise, w.signer)))
            plan = await plan_claims(w.chain, rows, w.stranger.address)
            outcomes = await send_claims(w.chain, Outbox(database, w.chain), plan, w.stranger)
            assert [one.claimed for one in outcomes] == [7] * 20
            assert await w.chain.token_balance(ALICE) == 140
            assert plan.gas < 20 * 20_000

    run(story())


def test_tokens_are_claimed_apart(anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with world(anvil.url) as w:
            chain = w.chain
            made = await send_now(chain.rpc, w.payer, None, encode_constructor(TOKEN, w.payer.address))
            other = made.contract
            assert other is not None
            await w.send(chain.calls.approve(1_000, other))
            await w.send(chain.calls.fund(w.signer.address, PERIOD, w.salt, [(ALICE, Amount(90))], other))
            await w.fund((ALICE, 80))
            terms = replace(w.terms(ALICE), token=other)
            promise = Voucher(channel_id(chain.domain, terms), Amount(9))
            rows = [w.voucher(ALICE, 8), Claim(terms, sign_voucher(chain.domain, promise, w.signer))]
            plan = await plan_claims(chain, rows, w.stranger.address)
            assert len(plan.batches) == 2
            await send_claims(chain, Outbox(database, chain), plan, w.stranger)
            assert (await chain.token_balance(ALICE), await chain.token_balance(ALICE, other)) == (8, 9)

    run(story())


def test_without_gas_money_claims_stay_queued(anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with world(anvil.url) as w:
            await w.fund((ALICE, 100))
            poor, outbox = new_key(), Outbox(database, w.chain)
            plan = await plan_claims(w.chain, [w.voucher(ALICE, 30)], poor.address)
            with pytest.raises(OutOfGasMoney):
                await send_claims(w.chain, outbox, plan, poor)
            (queued,) = outbox.open()
            await give(w.chain.rpc, poor.address, 10**18)
            await outbox.wait(queued.id)
            assert await w.chain.token_balance(ALICE) == 30

    run(story())


def test_nothing_to_claim_is_no_plan(anvil: LocalChain) -> None:
    async def story() -> None:
        async with world(anvil.url) as w:
            plan = await plan_claims(w.chain, [], w.stranger.address)
            assert (plan.batches, plan.left_out, plan.gas) == ((), (), 0)

    run(story())
