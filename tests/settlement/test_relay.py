"""A relayer claims for many farmers and keeps what their signatures allow, never more, at most once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from payments.eip712 import Domain
from payments.relay_fees import RelayFee, fee_signer, sign_fee
from payments.types import Address, Amount, ChannelId, Timestamp
from payments.vouchers import SigningKey
from settlement.chain_events import ChannelClaimed, Reason, RowSkipped
from settlement.client import Claim, Fee
from settlement.database import Database
from settlement.local_chain import warp
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
    return await w.send(w.chain.relay(claims, fees), w.stranger)


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


def test_a_signed_fee_names_its_signer() -> None:
    domain, farmer = Domain(1, Address(b"\x07" * 20)), new_key()
    terms = RelayFee(new_key().address, ChannelId(b"\x01" * 32), Amount(TOTAL), Amount(2), Timestamp(3))
    signed = sign_fee(domain, terms, farmer)
    assert fee_signer(domain, signed) == farmer.address
    assert fee_signer(domain, replace(signed, terms=replace(terms, maximum=Amount(3)))) != farmer.address
