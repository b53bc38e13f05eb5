"""Deadlines: what gas may cost at one, when the margin is short, and that a claim is mined before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.channel import CloseRequested, VoucherAccepted, apply
from payments.deadlines import Deadline, deadline_ceiling, margin
from payments.gas_forecast import Cheaper, cheaper_hour
from payments.policy import Claimable, ClaimPolicy
from payments.sweep import Row, decide_all
from payments.types import ZERO32, Amount, ChannelId, Seconds, Timestamp
from tests.payments.support import make_channel

NOW = Timestamp(1_800_000_000)
GWEI = 10**9
BLOCK = 12
ORDINARY, EXTRA = 300 * GWEI, 3_000 * GWEI
ETHER_IN_TOKENS = Amount(3_000 * 10**18)


def ceiling(amount: int, *, gas: int = 60_000, gas_price: Amount | None = ETHER_IN_TOKENS) -> int:
    return deadline_ceiling(ORDINARY, EXTRA, amount=Amount(amount), gas=gas, gas_price=gas_price)


def test_above_the_ordinary_ceiling_a_claim_may_cost_what_it_brings() -> None:
    value = 180 * 10**18  # tokens, as much as 60,000 gas at 1,000 gwei
    assert ceiling(value) == 1_000 * GWEI
    assert ceiling(10 * value) == EXTRA
    assert ceiling(value // 10) == ORDINARY


def test_a_price_nobody_knows_leaves_the_owners_word() -> None:
    assert ceiling(1, gas_price=None) == EXTRA
    assert ceiling(1, gas_price=Amount(0)) == EXTRA


def test_an_owner_whose_deadline_ceiling_is_lower_keeps_the_ordinary_one() -> None:
    assert deadline_ceiling(ORDINARY, 0, amount=Amount(10**30), gas=1, gas_price=None) == ORDINARY


@pytest.mark.parametrize(("remaining", "short"), [(101, False), (100, True), (-5, True)])
def test_the_time_left_is_short_at_the_margin(remaining: int, short: bool) -> None:
    deadline = Deadline(ChannelId(ZERO32), Amount(1), NOW, remaining, Seconds(100))
    assert deadline.short is short


def test_the_margin_is_the_slowest_claim_and_what_the_chain_is_ahead() -> None:
    assert margin(Seconds(70), NOW, Timestamp(NOW + 30)) == 100
    assert margin(Seconds(70), NOW, Timestamp(NOW - 500)) == 70
    assert margin(Seconds(70), NOW, None) == 70


@given(
    worth=st.integers(1, 10**22),
    censored=st.integers(0, 20),
    prices=st.lists(st.integers(1, 4_000), min_size=1, max_size=40),
)
def test_a_claim_is_mined_in_the_first_block_that_takes_it_at_a_price_within_the_ceiling(
    worth: int, censored: int, prices: list[int]
) -> None:
    """CLAIM_BEFORE_DEADLINE: the first blocks leave it out; the last before the deadline is cheap."""
    blocks = [price * GWEI for price in (*prices, 20)]
    closes_at = Timestamp(NOW + BLOCK * len(blocks) + censored * BLOCK)
    blocks = [10 * GWEI] * censored + blocks
    mined = next(
        (
            number
            for number in range(len(blocks))
            if sends(worth, blocks[number], number, closes_at) and number >= censored
        ),
        None,
    )
    affordable = [number for number in range(censored, len(blocks)) if blocks[number] <= ceiling(worth)]
    assert mined == affordable[0]
    assert NOW + BLOCK * mined < closes_at


def sends(worth: int, price: int, number: int, closes_at: Timestamp) -> bool:
    """Whether the farmer asks for a claim in this block, and offers what it costs."""
    channel = apply(make_channel(worth), VoucherAccepted(Amount(worth)))[0]
    channel = apply(channel, CloseRequested(closes_at))[0]
    now = Timestamp(NOW + BLOCK * number)
    fee = Amount(min(2**95, 60_000 * price * ETHER_IN_TOKENS // 10**18))
    row = Row(channel, Claimable(Amount(worth), NOW), fee)
    cheaper = Cheaper(Timestamp(now + 3_600), 10)
    (decision,) = decide_all(ClaimPolicy(), [row], base_fee=fee, now=now, cheaper=cheaper)
    return decision.claim and price <= ceiling(worth)


def hours(**prices: int) -> list[int | None]:
    return [prices.get(f"h{hour}", 100) for hour in range(24)]


def test_the_cheapest_hour_ahead_is_found() -> None:
    at_eight = Timestamp(NOW - NOW % 86_400 + 8 * 3600 + 600)
    assert cheaper_hour(hours(h8=1, h11=60, h15=40), at_eight, 100) == Cheaper(
        Timestamp(at_eight - 600 + 7 * 3600), 40
    )
    assert cheaper_hour(hours(h3=50), at_eight, 100) == Cheaper(Timestamp(at_eight - 600 + 19 * 3600), 50)


@pytest.mark.parametrize("then", [81, 100, 200])
def test_an_hour_hardly_cheaper_is_not_waited_for(then: int) -> None:
    assert cheaper_hour([then] * 24, NOW, 100) is None


def test_unknown_hours_promise_nothing() -> None:
    assert cheaper_hour([None] * 24, NOW, 100) is None
    with pytest.raises(ValueError, match="24 hours"):
        cheaper_hour([1], NOW, 100)
