"""Limits: whatever a farmer asks, a renter signs no more than its owner allows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.renter.crew import Supplier
from node.renter.errors import AboveLimit, FileUnavailable
from node.renter.limits import DAY, USUAL, Limits, scaled
from node.renter.renewals import DEARER
from node.renter.reports import Trouble
from node.renter.terms import agreement_terms
from payments.prices import Prices
from payments.types import Amount, NodeId, Seconds, Timestamp
from tests.node.renter.support import INTERVAL, PRICES, TOKEN, Neighbour, Village, content, tell
from tests.node.renter.test_renewals import DUE, OFFER, stored
from tests.node.renter.test_targets import QUOTE

NOW = Timestamp(QUOTE.issued_at)
DEAR = replace(PRICES, per_audit=Amount(TOKEN // 20))
UNBEARABLE: list[dict[str, Any]] = [
    {"prices": replace(PRICES, storage_per_gb_month=Amount(TOKEN))},
    {"prices": replace(PRICES, download_per_gb=Amount(TOKEN))},
    {"prices": DEAR},
    {"audit_interval": Seconds(1)},
    {"audit_interval": Seconds(20 * 365 * DAY)},
    {"response_deadline": Seconds(2**32 - 1)},
]


async def reoffer(farmer: Neighbour, **changes: Any) -> None:  # noqa: ANN401 - any field of an offer
    """Ask for something else from now on."""
    await farmer.stop()
    farmer.settings = replace(farmer.settings, offer=replace(farmer.settings.offer, **changes))
    await farmer.start()


@pytest.mark.parametrize("asked", UNBEARABLE, ids=lambda asked: next(iter(asked)))
def test_what_asks_too_much_is_neither_taken_for_a_quote_nor_signed(asked: dict[str, Any]) -> None:
    USUAL.check_quote(QUOTE)
    quote = replace(QUOTE, **asked)
    terms = agreement_terms(
        quote, NodeId(bytes(32)), NOW, Seconds(DAY), shard_length=1_000, data_root=bytes(32)
    )
    with pytest.raises(AboveLimit):
        USUAL.check_quote(quote)
    with pytest.raises(AboveLimit):
        USUAL.check_terms(terms)


def test_what_is_asked_at_the_limit_is_signed() -> None:
    quote = replace(QUOTE, prices=USUAL.prices, audit_interval=USUAL.longest_interval)
    USUAL.check_quote(quote)
    for length in (1, 1_000, 10**9):
        terms = agreement_terms(
            quote, NodeId(bytes(32)), NOW, Seconds(DAY), shard_length=length, data_root=bytes(32)
        )
        USUAL.check_terms(terms)
        with pytest.raises(AboveLimit):
            USUAL.check_terms(replace(terms, step=Amount(terms.step + 1)))


def test_limits_are_stated_in_the_token_s_decimals_and_never_vanish() -> None:
    assert scaled(USUAL, 18) == USUAL
    assert scaled(USUAL, 6).prices == Prices(Amount(20_000), Amount(50_000), Amount(1))
    assert scaled(USUAL, 0).prices == Prices(Amount(1), Amount(1), Amount(1))


def test_a_farmer_that_raises_its_price_once_it_is_funded_gets_no_shard(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        dear = place.farmers[0]
        await reoffer(dear, prices=DEAR)
        place.clock.pass_time(120)
        await place.store("file", content(20_000))
        place.clock.pass_time(INTERVAL)
        await place.renter.tick()
        assert [len(farmer.shards) for farmer in place.farmers] == [0, 1, 1]
        assert place.earned(dear.node) == 0
        assert await place.read("file") == content(20_000)

    tell(tmp_path, story, farmers=3, max_exposure=Amount(TOKEN))


def test_no_channel_is_planned_whose_challenge_period_cannot_be_borne(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        captor, honest = place.farmers
        ages = Seconds(2**32 - 1)
        await reoffer(captor, min_challenge_period=ages, max_challenge_period=ages)
        await place.meet()
        plan = await place.renter.funding.plan(amount=Amount(TOKEN // 10))
        assert [row.farmer for row in plan.rows] == [honest.node]
        assert [(one.farmer, one.trouble) for one in plan.faults] == [(captor.node, Trouble.ABOVE_LIMIT)]
        assert "challenge period" in plan.faults[0].reason
        with pytest.raises(AboveLimit):
            await place.renter.funding.plan([captor.node], amount=Amount(TOKEN // 10))

    tell(tmp_path, story, farmers=2)


def test_a_channel_whose_challenge_period_cannot_be_borne_is_followed_by_another(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        farmer = place.farmers[0]
        await reoffer(farmer, min_challenge_period=Seconds(120))
        await place.fund()
        await reoffer(farmer, min_challenge_period=Seconds(60))
        place.limits = replace(USUAL, challenge_period=Seconds(100))
        await place.restart_renter()
        plan = await place.renter.funding.plan(amount=Amount(TOKEN // 5))
        assert [(row.life, row.deposit, row.terms.challenge_period) for row in plan.rows] == [(1, 0, 60)]

    tell(tmp_path, story, farmers=1)


def test_a_farmer_that_wants_new_terms_meanwhile_gets_none_above_the_limits(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        dear = place.farmers[0]
        supplier = await place.renter.renewals.suppliers.of(dear.node)
        assert isinstance(supplier, Supplier)
        await reoffer(dear, prices=DEAR)
        with pytest.raises(AboveLimit):
            await supplier.renew(place.renter.peers)
        assert (await supplier.quote(place.renter.peers, Timestamp(place.clock.now))).prices == PRICES

    tell(tmp_path, story, farmers=1)


def test_a_renewal_is_not_signed_above_the_limits(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        less = replace(USUAL.prices, storage_per_gb_month=Amount(PRICES.storage_per_gb_month - 1))
        place.limits = Limits(less)
        await place.restart_renter()
        place.clock.pass_time(DUE)
        renewed = await place.renter.renewals.renew()
        assert renewed.count == 0
        assert {fault.trouble for fault in renewed.faults} == {Trouble.ABOVE_LIMIT}

    tell(tmp_path, story, farmers=3, offer=OFFER)


def test_an_agreement_whose_reads_become_much_dearer_is_not_renewed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        dear = place.farmers[0]
        await reoffer(
            dear, prices=replace(PRICES, download_per_gb=Amount(PRICES.download_per_gb * DEARER + 1))
        )
        place.clock.pass_time(DUE)
        renewed = await place.renter.renewals.renew()
        assert [(fault.farmer, fault.trouble) for fault in renewed.faults] == [(dear.node, Trouble.REFUSED)]

    tell(tmp_path, story, farmers=3, offer=OFFER)


def test_a_read_that_is_too_dear_is_not_paid_and_told(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(20_000), k=1, n=2)
        place.limits = Limits(replace(USUAL.prices, download_per_gb=Amount(PRICES.download_per_gb - 1)))
        await place.restart_renter()
        with pytest.raises(FileUnavailable) as failed:
            await place.read("file")
        assert {fault.trouble for fault in failed.value.faults} == {Trouble.ABOVE_LIMIT}
        assert [place.earned(farmer.node) for farmer in place.farmers] == [0, 0]

    tell(tmp_path, story, farmers=2)
