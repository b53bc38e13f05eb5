"""Which vouchers go together: a table of situations, and what holds in all of them."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.channel import Channel, CloseRequested, VoucherAccepted, apply
from payments.gas_forecast import Cheaper
from payments.policy import Claimable, ClaimPolicy, ClaimReason
from payments.sweep import Row, brings, decide_all
from payments.types import MONTH, Amount, Seconds, Timestamp
from tests.payments.support import make_channel

NOW = Timestamp(1_800_000_000)
DAY = Seconds(86_400)
POLICY = ClaimPolicy(Amount(100), max_fee_share=25, max_age=Seconds(7 * DAY), max_exposure=Amount(5000))
CHANNEL = apply(make_channel(10_000), VoucherAccepted(Amount(9000)))[0]
CLOSING = apply(CHANNEL, CloseRequested(Timestamp(NOW + 600)))[0]
ENOUGH, LITTLE, DEAR, CLOSE, OLD, RISK, LATER = (
    ClaimReason.ENOUGH,
    ClaimReason.BELOW_MINIMUM,
    ClaimReason.FEE_TOO_HIGH,
    ClaimReason.CLOSE_REQUESTED,
    ClaimReason.OLD_ENOUGH,
    ClaimReason.TOO_MUCH_AT_RISK,
    ClaimReason.CHEAPER_LATER,
)


def row(amount: int, *, fee: int = 10, age: int = 0, channel: Channel = CHANNEL, rate: int = 0) -> Row:
    claimable = Claimable(Amount(amount), Timestamp(NOW - age), Amount(rate))
    return Row(channel, claimable, Amount(fee))


@pytest.mark.parametrize(
    ("rows", "base", "reasons"),
    [
        ([row(400)], 90, [ENOUGH]),
        ([row(400)], 91, [DEAR]),
        ([row(200), row(200)], 80, [ENOUGH, ENOUGH]),
        ([row(200), row(200)], 81, [DEAR, DEAR]),
        ([row(1000), row(100, fee=26)], 100, [ENOUGH, DEAR]),
        ([row(1000), row(100, fee=25)], 100, [ENOUGH, ENOUGH]),
        ([row(1000), row(99)], 100, [ENOUGH, LITTLE]),
        ([row(40, age=8 * DAY), row(1000)], 100, [OLD, ENOUGH]),
        ([row(39, age=8 * DAY), row(1000)], 100, [DEAR, ENOUGH]),
        ([row(1, channel=CLOSING), row(100)], 10**6, [CLOSE, ENOUGH]),
        ([row(5000), row(40), row(100)], 10**6, [RISK, LITTLE, ENOUGH]),
        ([row(1, channel=CLOSING)], 10**6, [CLOSE]),
    ],
)
def test_each_pays_the_gas_it_adds_and_all_together_the_rest(
    rows: list[Row], base: int, reasons: list[ClaimReason]
) -> None:
    decisions = decide_all(POLICY, rows, base_fee=Amount(base), now=NOW)
    assert [one.reason for one in decisions] == reasons


def test_without_a_price_of_gas_amount_and_age_decide() -> None:
    unknown = [replace(one, fee=None) for one in (row(100), row(99))]
    assert [one.reason for one in decide_all(POLICY, unknown, base_fee=None, now=NOW)] == [ENOUGH, LITTLE]


def test_those_that_wait_together_are_told_when_they_will_go() -> None:
    rows = [row(200, rate=MONTH // DAY * 40), row(200)]
    first, _ = decide_all(POLICY, rows, base_fee=Amount(100), now=NOW)
    assert first.when == NOW + 2 * DAY  # 25 % of 80 more bears the 20 that are missing
    assert first.sentence.endswith("Together with 1 more it is expected by 2027-01-17 08:00 UTC.")


@pytest.mark.parametrize(
    ("age", "channel", "amount", "reason"),
    [
        (0, CHANNEL, 400, LATER),
        (7 * DAY - 3600, CHANNEL, 400, ENOUGH),
        (8 * DAY, CHANNEL, 400, OLD),
        (0, CHANNEL, 5000, RISK),
        (0, CLOSING, 400, CLOSE),
    ],
)
def test_a_cheaper_hour_is_waited_for_when_nothing_presses(
    age: int, channel: Channel, amount: int, reason: ClaimReason
) -> None:
    cheaper = Cheaper(Timestamp(NOW + 2 * 3600), 50)
    rows = [row(amount, age=age, channel=channel)]
    (decision,) = decide_all(POLICY, rows, base_fee=Amount(10), now=NOW, cheaper=cheaper)
    assert decision.reason is reason
    assert decision.when == (cheaper.at if reason is LATER else decision.when)


def test_a_fee_that_will_be_bearable_in_a_cheaper_hour_is_expected_then() -> None:
    cheaper = Cheaper(Timestamp(NOW + 2 * 3600), 50)
    (decision,) = decide_all(POLICY, [row(400)], base_fee=Amount(150), now=NOW, cheaper=cheaper)
    assert (decision.reason, decision.when) == (DEAR, cheaper.at)


_rows = st.lists(
    st.builds(
        row,
        st.integers(1, 6000),
        fee=st.integers(0, 400),
        age=st.integers(0, 10).map(lambda days: days * DAY),
        channel=st.sampled_from([CHANNEL, CHANNEL, CHANNEL, CLOSING]),
        rate=st.integers(0, 10**4),
    ),
    min_size=1,
    max_size=5,
)


@given(_rows, st.integers(0, 3000))
def test_no_sweep_costs_more_than_its_share_unless_a_deadline_or_the_risk_says_so(
    rows: list[Row], base: int
) -> None:
    decisions = decide_all(POLICY, rows, base_fee=Amount(base), now=NOW)
    going = [(one, told) for one, told in zip(rows, decisions, strict=True) if told.claim]
    forced = [told for _, told in going if told.reason in (CLOSE, RISK)]
    for one, told in going:
        if told not in forced:
            assert (one.fee or 0) * 100 <= POLICY.max_fee_share * brings(one, told)
    if going and not forced:
        cost = base + sum(one.fee or 0 for one, _ in going)
        assert cost * 100 <= POLICY.max_fee_share * sum(brings(one, told) for one, told in going)


@given(_rows, st.integers(0, 3000))
def test_nothing_waits_that_some_company_would_have_paid_for(rows: list[Row], base: int) -> None:
    decisions = decide_all(POLICY, rows, base_fee=Amount(base), now=NOW)
    if any(told.claim for told in decisions):
        return
    dear = [one for one, told in zip(rows, decisions, strict=True) if told.reason is DEAR]
    for size in range(1, len(dear) + 1):
        for company in combinations(dear, size):
            cost = base + sum(one.fee or 0 for one in company)
            assert cost * 100 > POLICY.max_fee_share * sum(one.claimable.amount for one in company)


@given(_rows, st.integers(0, 10**6), st.integers(0, 100))
def test_a_close_request_is_answered_whatever_gas_costs(rows: list[Row], base: int, percent: int) -> None:
    cheaper = Cheaper(Timestamp(NOW + 60), percent)
    decisions = decide_all(POLICY, rows, base_fee=Amount(base), now=NOW, cheaper=cheaper)
    assert all(told.claim for one, told in zip(rows, decisions, strict=True) if one.channel is CLOSING)
