"""When a farmer claims, and what it says while it does not."""

from dataclasses import replace

import pytest

from payments.channel import Channel, Claimed, CloseRequested, Reorganised, VoucherAccepted, Withdrawn, apply
from payments.errors import IntegerOutOfRange
from payments.policy import Claimable, ClaimDecision, ClaimPolicy, ClaimReason, Unpaid, decide
from payments.types import MONTH, Amount, Seconds, Timestamp
from tests.payments.support import make_channel

NOW = Timestamp(1_800_000_000)
DAY = Seconds(86_400)
WEEK = Seconds(7 * DAY)
CLOSES_AT = Timestamp(NOW + 600)
POLICY = ClaimPolicy(Amount(100), max_fee_share=25, max_age=WEEK, max_exposure=Amount(5000))
CHANNEL = apply(make_channel(10_000), VoucherAccepted(Amount(9000)))[0]
CLOSING = apply(CHANNEL, CloseRequested(CLOSES_AT))[0]


def ask(
    amount: int,
    *,
    fee: int | None = 0,
    age: int = 0,
    rate: int = 0,
    channel: Channel = CHANNEL,
    policy: ClaimPolicy = POLICY,
    unpaid: int = 0,
    overdue: int = 0,
    proof_fee: int | None = 0,
) -> ClaimDecision:
    due = Timestamp(NOW - overdue)
    proven = Unpaid(Amount(unpaid), Timestamp(due - WEEK), due) if unpaid else None
    return decide(
        policy,
        channel,
        Claimable(Amount(amount), Timestamp(NOW - age), Amount(rate), proven),
        fee=None if fee is None else Amount(fee),
        proof_fee=None if proof_fee is None else Amount(proof_fee),
        now=NOW,
        show=lambda units: f"{units} TITHE",
    )


def test_enough_is_claimed() -> None:
    decision = ask(100)
    assert (decision.claim, decision.reason, decision.when) == (True, ClaimReason.ENOUGH, NOW)
    assert decision.sentence == "Due to be claimed: 100 TITHE reaches the minimum of 100 TITHE."


def test_less_than_the_minimum_waits_until_it_is_old() -> None:
    decision = ask(99, age=2 * DAY)
    assert (decision.claim, decision.reason) == (False, ClaimReason.BELOW_MINIMUM)
    assert decision.when == NOW + 5 * DAY
    assert decision.sentence == (
        "Not claimed yet: 99 TITHE is below the minimum of 100 TITHE; "
        "it will be claimed by 2027-01-20 08:00 UTC."
    )


def test_less_than_the_minimum_waits_until_enough_is_earned_if_that_is_sooner() -> None:
    assert ask(99, rate=MONTH // DAY).when == NOW + DAY


def test_old_vouchers_are_claimed_below_the_minimum() -> None:
    decision = ask(1, age=WEEK)
    assert (decision.claim, decision.reason) == (True, ClaimReason.OLD_ENOUGH)
    assert decision.sentence == "Due to be claimed: 1 TITHE has waited for 7 days."


def test_age_is_told_in_seconds_when_it_is_no_whole_day() -> None:
    decision = ask(1, age=90, policy=replace(POLICY, max_age=Seconds(90)))
    assert decision.sentence == "Due to be claimed: 1 TITHE has waited for 90 s."


@pytest.mark.parametrize(("fee", "claimed"), [(25, True), (26, False)])
def test_fee_may_be_a_quarter_of_the_amount(fee: int, claimed: bool) -> None:
    assert ask(100, fee=fee).claim is claimed


def test_high_fee_is_explained_with_the_amount_that_is_worth_it() -> None:
    decision = ask(100, fee=60, rate=140 * 30)
    assert (decision.claim, decision.reason) == (False, ClaimReason.FEE_TOO_HIGH)
    assert decision.when == NOW + DAY
    assert decision.sentence == (
        "Not claimed yet: the fee of about 60 TITHE is more than 25 % of 100 TITHE; "
        "it will be claimed at 240 TITHE or when gas is cheaper (expected 2027-01-16 08:00 UTC)."
    )


def test_high_fee_without_earnings_has_no_date() -> None:
    decision = ask(100, fee=60)
    assert decision.when is None
    assert "no time can be told" in decision.sentence


def test_high_fee_waits_even_when_old() -> None:
    assert not ask(100, fee=60, age=10 * WEEK).claim


def test_fee_worth_paying_only_at_the_limit_waits_for_the_limit() -> None:
    assert ask(4990, fee=4000, rate=10 * 30).when == NOW + DAY


def test_no_fee_share_waits_for_the_limit() -> None:
    decision = ask(100, fee=1, policy=replace(POLICY, max_fee_share=0))
    assert "claimed at 5000 TITHE" in decision.sentence


def test_unknown_fee_leaves_amount_and_age_to_decide() -> None:
    assert ask(100, fee=None).claim
    assert not ask(99, fee=None).claim


def test_too_much_at_risk_is_claimed_at_any_fee() -> None:
    decision = ask(5000, fee=10**9)
    assert (decision.claim, decision.reason) == (True, ClaimReason.TOO_MUCH_AT_RISK)


@pytest.mark.parametrize("amount", [1, 99, 5000])
def test_close_request_is_always_answered_by_a_claim(amount: int) -> None:
    decision = ask(amount, fee=10**9, channel=CLOSING)
    assert (decision.claim, decision.reason) == (True, ClaimReason.CLOSE_REQUESTED)
    assert decision.when == CLOSES_AT
    assert decision.sentence == (
        "Due to be claimed: the payer asked to close, claims count until 2027-01-15 08:10 UTC."
    )


def test_close_request_is_answered_even_while_the_chain_is_read_again() -> None:
    assert ask(1, channel=apply(CLOSING, Reorganised())[0]).claim


def test_reorganisation_waits() -> None:
    decision = ask(1000, channel=apply(CHANNEL, Reorganised())[0])
    assert (decision.claim, decision.reason) == (False, ClaimReason.FROZEN)


def test_closed_channel_has_nothing_to_claim() -> None:
    decision = ask(1000, channel=apply(CLOSING, Withdrawn())[0])
    assert (decision.claim, decision.reason, decision.when) == (False, ClaimReason.CLOSED, None)


def test_nothing_to_claim_says_whether_all_is_claimed_or_something_unpaid() -> None:
    assert ask(0).sentence == "Nothing to claim: 9000 TITHE is proven and waits for the renter's payment."
    everything = apply(CHANNEL, Claimed(Amount(9000)))[0]
    decision = ask(0, channel=everything)
    assert decision.reason is ClaimReason.NOTHING_TO_CLAIM
    assert decision.sentence == "Nothing to claim: everything earned has been claimed."


def test_nothing_to_claim_stays_so_on_a_close_request() -> None:
    assert not ask(0, channel=CLOSING).claim


def test_a_close_request_claims_unpaid_work_with_its_proof() -> None:
    decision = ask(7, unpaid=50, fee=10, proof_fee=49, overdue=-WEEK, channel=CLOSING)
    assert (decision.claim, decision.reason, decision.with_proof) == (True, ClaimReason.CLOSE_REQUESTED, True)
    assert decision.when == CLOSES_AT
    assert decision.sentence == (
        "Due to be claimed: the payer asked to close, claims count until 2027-01-15 08:10 UTC; "
        "50 TITHE of it is unpaid and goes with its proof."
    )


def test_a_close_request_claims_unpaid_work_where_no_price_of_gas_is_known() -> None:
    decision = ask(0, unpaid=1, fee=None, proof_fee=None, channel=CLOSING)
    assert (decision.claim, decision.with_proof) == (True, True)


@pytest.mark.parametrize(
    ("amount", "unpaid", "sent"), [(7, 50, False), (7, 51, True), (0, 60, False), (0, 61, True)]
)
def test_a_close_request_sends_no_proof_that_costs_more_than_it_brings(
    amount: int, unpaid: int, sent: bool
) -> None:
    """Where nothing else is claimed the row itself, 10, is part of the cost."""
    decision = ask(amount, unpaid=unpaid, fee=10, proof_fee=50, channel=CLOSING)
    assert (decision.claim, decision.with_proof) == (sent or amount > 0, sent)
    if not sent:
        assert (
            f"the proof of {unpaid} TITHE would cost about {50 if amount else 60} TITHE" in decision.sentence
        )


def test_unpaid_work_waits_for_its_payment_as_long_as_was_agreed() -> None:
    decision = ask(0, unpaid=50, overdue=-DAY)
    assert (decision.claim, decision.reason) == (False, ClaimReason.NOTHING_TO_CLAIM)
    assert decision.when == NOW + DAY
    assert decision.sentence == (
        "Not claimed yet: 50 TITHE is proven and waits for the renter's payment until 2027-01-16 08:00 UTC."
    )


def test_what_is_paid_is_claimed_while_other_work_waits_for_its_payment() -> None:
    decision = ask(100, unpaid=50, overdue=-DAY)
    assert (decision.claim, decision.reason, decision.with_proof) == (True, ClaimReason.ENOUGH, False)
    assert "50 TITHE is proven and waits" in decision.sentence


@pytest.mark.parametrize("amount", [0, 1, 100])
def test_a_renter_in_default_is_claimed_against_whatever_the_minimum(amount: int) -> None:
    decision = ask(amount, unpaid=4, fee=0, proof_fee=1)
    assert (decision.claim, decision.reason) == (True, ClaimReason.RENTER_DEFAULTS)
    assert (decision.when, decision.with_proof) == (NOW, True)
    assert decision.sentence == (
        "Due to be claimed: 4 TITHE, proven on 2027-01-08 08:00 UTC, was not paid, and goes with its proof."
    )


@pytest.mark.parametrize(
    ("amount", "unpaid", "sent"), [(100, 79, False), (100, 80, True), (0, 119, False), (0, 120, True)]
)
def test_the_proof_of_a_defaulting_renter_keeps_within_the_fee_share(
    amount: int, unpaid: int, sent: bool
) -> None:
    """The proof costs 20; where nothing else is due the row, 10, is part of it. The share is a quarter."""
    decision = ask(amount, unpaid=unpaid, fee=10, proof_fee=20)
    assert (decision.claim, decision.with_proof) == (sent or amount > 0, sent)
    assert ("more than 25 % of it" in decision.sentence) is not sent
    if not decision.claim:
        assert decision.reason is ClaimReason.PROOF_TOO_DEAR


def test_with_no_price_of_gas_known_a_default_waits_for_a_close_request() -> None:
    decision = ask(0, unpaid=5000, fee=None, proof_fee=None)
    assert (decision.claim, decision.reason) == (False, ClaimReason.FEE_UNKNOWN)
    assert decision.sentence == (
        "Not claimed yet: 5000 TITHE, proven on 2027-01-08 08:00 UTC, was not paid; "
        "with no price of gas known its proof is only sent when the payer asks to close."
    )


@pytest.mark.parametrize("fact", [Reorganised(), Withdrawn()])
def test_no_proof_is_sent_while_the_chain_is_read_again_or_the_channel_is_spent(
    fact: Reorganised | Withdrawn,
) -> None:
    before = CLOSING if isinstance(fact, Withdrawn) else CHANNEL
    decision = ask(0, unpaid=50, channel=apply(before, fact)[0])
    assert (decision.claim, decision.with_proof) == (False, False)


def test_date_beyond_the_calendar_is_told_as_what_it_is() -> None:
    policy = ClaimPolicy(min_amount=Amount(2**80), max_age=Seconds(2**60))
    assert ask(1, rate=1, policy=policy).sentence.endswith("claimed by a day after the year 9999.")


def test_policy_refuses_rules_that_are_none() -> None:
    with pytest.raises(IntegerOutOfRange):
        ClaimPolicy(min_amount=Amount(-1))
    with pytest.raises(IntegerOutOfRange):
        ClaimPolicy(max_fee_share=-1)
