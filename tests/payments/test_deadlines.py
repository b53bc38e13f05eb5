"""Deadlines: what gas may cost at one, when the margin is short, and that a claim is mined before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.deadlines import Deadline, deadline_ceiling, margin
from payments.gas_forecast import Cheaper, cheaper_hour
from payments.types import ZERO32, Amount, ChannelId, Seconds, Timestamp

NOW = Timestamp(1_800_000_000)
GWEI = 10**9
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
    spike=st.integers(1, 4_000),
    spike_blocks=st.integers(0, 20),
)
def test_a_claim_is_mined_before_its_deadline_unless_blocks_or_fees_forbid_it_to_the_end(
    worth: int, censored: int, spike: int, spike_blocks: int
) -> None:
    """CLAIM_BEFORE_DEADLINE: some blocks leave it out, in some gas is dear; one block is enough."""
    allowed = ceiling(worth)
    period = censored + spike_blocks + 1
    price = [spike * GWEI] * spike_blocks + [20 * GWEI] * (period - spike_blocks)
    open_blocks = [cost for block, cost in enumerate(price) if block >= censored]
    assert any(cost <= allowed for cost in open_blocks)
    if spike * GWEI <= ORDINARY:
        assert open_blocks[0] <= allowed


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
