"""A relayer claims for many farmers and keeps what their signatures allow, never more, at most once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from payments.relay_fees import RelayFee, sign_fee
from payments.types import Amount, Timestamp
from payments.vouchers import SigningKey
from settlement.calls import Claim, Fee
from settlement.chain_events import ChannelClaimed, Reason, RowSkipped
from settlement.database import Database
from settlement.local_chain import embedded, warp
from settlement.relays import Errand, plan_relays
from settlement.rpc import Receipt
from settlement.tables import TABLES
from settlement.wallet import new_key
from settlement.watcher import Watcher
from tests.settlement.conftest import Endpoint
from tests.settlement.proofs import proven
from tests.settlement.support import World, run, world

TOTAL = 1_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.at(tmp_path / "money.db", TABLES)
    yield opened
    opened.close()


async def hour_from_now(w: World) -> int:
    return (await w.chain.head()).timestamp + 3_600


def allow(
    w: World,
    farmer: SigningKey,
    claim: Claim,
    amount: int,
    *,
    maximum: int,
    deadline: int,
    relayer: SigningKey,
) -> Fee:
    """The farmer's signature over the most it will bear, and what the relayer takes."""
    voucher = claim.voucher.voucher
    terms = RelayFee(
        relayer.address,
        voucher.channel_id,
        voucher.cumulative_amount,
        Amount(maximum),
        Timestamp(deadline),
    )
    return Fee(Amount(amount), sign_fee(w.chain.domain, terms, farmer))


async def relay(w: World, claims: list[Claim], fees: list[Fee | None]) -> Receipt:
    return await w.send(w.chain.calls.relay(claims, fees), w.stranger)


def reasons(w: World, receipt: Receipt) -> list[Reason]:
    """Why rows were skipped."""
    return [event.reason for event in w.chain.events_of(receipt) if isinstance(event, RowSkipped)]


def test_a_relayer_claims_for_many_farmers_with_and_without_fees(
    endpoint: Endpoint, database: Database
) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            farmers = [new_key() for _ in range(4)]
            await w.fund(*((farmer.address, 5_000) for farmer in farmers))
            claims = [w.voucher(farmer.address, TOTAL) for farmer in farmers[:3]]
            claims.append(proven(w, farmers[3].address, TOTAL))
            deadline = await hour_from_now(w)
            fees: list[Fee | None] = [
                allow(w, farmers[0], claims[0], 25, maximum=30, deadline=deadline, relayer=w.stranger),
                None,
                allow(w, farmers[2], claims[2], 30, maximum=30, deadline=deadline, relayer=w.stranger),
                allow(w, farmers[3], claims[3], 7, maximum=30, deadline=deadline, relayer=w.stranger),
            ]
            receipt = await relay(w, claims, fees)
            balances = [await w.chain.token_balance(farmer.address) for farmer in farmers]
            assert balances == [TOTAL - 25, TOTAL, TOTAL - 30, TOTAL - 7]
            assert await w.chain.token_balance(w.stranger.address) == 25 + 30 + 7
            told = {
                event.channel_id: (event.claimed, event.fee)
                for event in w.chain.events_of(receipt)
                if isinstance(event, ChannelClaimed)
            }
            assert told == {
                w.id(farmer.address): (TOTAL, fee)
                for farmer, fee in zip(farmers, (25, 0, 30, 7), strict=True)
            }
            news = await Watcher(database, w.chain, payees=[farmers[0].address]).poll()
            assert any(isinstance(event, ChannelClaimed) and event.fee == 25 for event in news.events)
            again = await relay(w, claims[:1], fees[:1])
            assert reasons(w, again) == [Reason.STALE]
            assert await w.chain.token_balance(w.stranger.address) == 25 + 30 + 7

    run(story())


def test_a_fee_the_payee_has_not_allowed_is_not_kept(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            farmer, other = new_key(), new_key()
            await w.fund((farmer.address, 5_000), (other.address, 5_000))
            claim, beside = w.voucher(farmer.address, TOTAL), w.voucher(other.address, TOTAL)
            later = await hour_from_now(w)
            good = allow(w, farmer, claim, 30, maximum=30, deadline=later, relayer=w.stranger)
            bad = {
                replace(good, amount=Amount(31)): Reason.FEE_TOO_HIGH,
                allow(w, farmer, claim, 30, maximum=30, deadline=later, relayer=w.payer): Reason.FEE_UNSIGNED,
                allow(
                    w, other, claim, 30, maximum=30, deadline=later, relayer=w.stranger
                ): Reason.FEE_UNSIGNED,
                allow(
                    w, farmer, beside, 3, maximum=30, deadline=later, relayer=w.stranger
                ): Reason.FEE_UNSIGNED,
                allow(
                    w, farmer, claim, 2_000, maximum=3_000, deadline=later, relayer=w.stranger
                ): Reason.FEE_TOO_HIGH,
            }
            for fee, reason in bad.items():
                assert reasons(w, await relay(w, [claim], [fee])) == [reason]
            await warp(w.chain.rpc, 4_000)
            assert reasons(w, await relay(w, [claim, beside], [good])) == [Reason.FEE_EXPIRED]
            assert await w.chain.token_balance(farmer.address) == 0
            assert await w.chain.token_balance(other.address) == TOTAL  # no other row suffers
            assert await w.chain.token_balance(w.stranger.address) == 0

    run(story())


def test_a_plan_keeps_what_is_allowed_and_leaves_out_what_bears_no_fee(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            farmers = [new_key() for _ in range(8)]
            holds = [5_000] * 5 + [TOTAL - 1, 5_000, 5_000]
            await w.fund(*((farmer.address, held) for farmer, held in zip(farmers, holds, strict=True)))
            later = await hour_from_now(w)

            def errand(number: int, *, relayer: SigningKey = w.stranger, until: int = later) -> Errand:
                farmer = farmers[number]
                claim = proven(w, farmer.address, TOTAL) if number > 5 else w.voucher(farmer.address, TOTAL)
                fee = allow(w, farmer, claim, 0, maximum=30, deadline=until, relayer=relayer).signed
                return Errand(claim, fee)

            good, older, forged, foreign, short, shown, unshown = map(errand, (0, 1, 2, 4, 5, 6, 7))
            older = replace(older, claim=w.voucher(farmers[1].address, TOTAL - 1))
            raised = replace(forged.fee, terms=replace(forged.fee.terms, maximum=Amount(500)))
            alien = w.voucher(farmers[4].address, TOTAL, signer=new_key())
            errands = [
                *(good, errand(1), older),
                replace(forged, fee=raised),
                errand(3, until=later - 7_200),
                replace(foreign, claim=alien),
                *(short, shown),
                replace(unshown, claim=replace(unshown.claim, proof=unshown.claim.proof[:-1])),
            ]
            plan = await plan_relays(w.chain, errands, w.stranger.address, Amount(25))
            assert (plan.paid, plan.kept) == (3 * TOTAL, 3 * 25)
            left_out = {one.channel_id: one.reason for one in plan.plan.left_out}
            assert left_out == {
                w.id(farmers[2].address): Reason.FEE_UNSIGNED,
                w.id(farmers[3].address): Reason.FEE_EXPIRED,
                w.id(farmers[4].address): Reason.BAD_SIGNATURE,
                w.id(farmers[5].address): Reason.EMPTY,
                w.id(farmers[7].address): Reason.BAD_PROOF,
            }
            (batch,) = plan.plan.batches
            receipt = await w.send(batch.call, w.stranger)
            assert reasons(w, receipt) == []
            assert await w.chain.token_balance(w.stranger.address) == 3 * 25
            stale = await plan_relays(w.chain, errands, w.stranger.address)
            assert (stale.plan.batches, stale.paid, stale.kept) == ((), 0, 0)

    run(story())


def test_relays_are_cut_into_transactions_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(embedded()) as w:
            farmers = [new_key() for _ in range(5)]
            await w.fund(*((farmer.address, 5_000) for farmer in farmers))
            later = await hour_from_now(w)
            errands = []
            for farmer in farmers:
                claim = w.voucher(farmer.address, TOTAL)
                fee = allow(w, farmer, claim, 0, maximum=30, deadline=later, relayer=w.stranger).signed
                errands.append(Errand(claim, fee))
            whole = await plan_relays(w.chain, errands, w.stranger.address)
            monkeypatch.setattr("settlement.claims.GAS_LIMIT", whole.plan.gas // 2)
            cut = await plan_relays(w.chain, errands, w.stranger.address)
            assert len(whole.plan.batches) == 1 < len(cut.plan.batches)
            for batch in cut.plan.batches:
                assert batch.gas <= whole.plan.gas // 2
                await w.send(batch.call, w.stranger)
            assert await w.chain.token_balance(w.stranger.address) == 5 * 30

    run(story())
