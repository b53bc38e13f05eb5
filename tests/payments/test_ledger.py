"""The books of both sides: what a voucher earns, what it pays, what is refused, what is owed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.channel import Channel, Claimed, ClaimNow, CloseRequested, VoucherSigned, apply
from payments.errors import (
    AboveDeposit,
    AmountOutOfRange,
    ChannelClosing,
    ConditionalPayment,
    InsufficientDeposit,
    NotPromised,
    PaidTooLow,
    PaymentTooLow,
    WrongChannel,
    WrongCondition,
    WrongSigner,
    WrongStep,
)
from payments.ledger import (
    Accepted,
    Earnings,
    accept_payment,
    accept_proven,
    continue_storage,
    end_storage,
    exposure,
    grow_storage,
    lent_rate,
    next_payment,
    next_step,
    recall_voucher,
    record_claimed,
    record_proof,
)
from payments.types import MONTH, Amount, ChannelId, Timestamp
from payments.vouchers import Voucher, sign_voucher, voucher_signer
from tests.payments.support import CONDITION, DOMAIN, SIGNER, STRANGER, make_channel, make_voucher

NOW = Timestamp(1_800_000_000)
RATE = Amount(MONTH)  # a base unit a second
CHANNEL = make_channel(1000)
CLOSES_AT = Timestamp(NOW + 600)


def begun(at: Timestamp = NOW) -> Earnings:
    """An account whose first agreement was stored then."""
    return grow_storage(Earnings(), Amount(0), RATE, at)


def pay(channel: Channel, earnings: Earnings, total: int, *, spent: int = 0, rate: Amount = RATE) -> Accepted:
    return accept_payment(
        DOMAIN, channel, earnings, make_voucher(total), storage_rate=rate, spent=Amount(spent)
    )


def prove(channel: Channel, earnings: Earnings, total: int, step: int = 10, at: Timestamp = NOW) -> Accepted:
    signed = make_voucher(total, CONDITION)
    return accept_proven(DOMAIN, channel, earnings, signed, condition=CONDITION, step=Amount(step), now=at)


def proven_once(at: Timestamp = NOW) -> Accepted:
    """An account with 10 proven and not paid, its storage begun a hundred seconds before."""
    return prove(CHANNEL, begun(Timestamp(NOW - 100)), 10, at=at)


# --- the farmer takes payments


def test_payment_is_earned_and_kept() -> None:
    taken = pay(CHANNEL, Earnings(), 30)
    assert taken.earnings.paid == make_voucher(30)
    assert (taken.delta, taken.channel.earned, taken.channel.promised) == (30, 30, 30)
    assert (taken.earnings.earned, taken.earnings.covered, taken.earnings.unpaid) == (30, 30, 0)


@pytest.mark.parametrize("total", [30, 29, 0])
def test_voucher_that_brings_nothing_is_no_error(total: int) -> None:
    taken = pay(CHANNEL, Earnings(), 30)
    again = pay(taken.channel, taken.earnings, total)
    assert again == Accepted(taken.channel, taken.earnings, Amount(0), ())


def test_payment_of_proven_work_earns_nothing_more() -> None:
    proven = proven_once()
    taken = pay(proven.channel, proven.earnings, 10)
    assert (taken.delta, taken.earnings.unpaid, taken.earnings.prepaid) == (0, 0, 0)
    assert taken.channel == proven.channel


def test_surplus_of_a_payment_is_prepaid() -> None:
    proven = proven_once(at=Timestamp(NOW - 100))
    assert pay(proven.channel, proven.earnings, 35).earnings.prepaid == 25


def test_partial_payment_leaves_the_rest_unpaid() -> None:
    proven = proven_once()
    taken = pay(proven.channel, proven.earnings, 4)
    assert (taken.earnings.unpaid, taken.earnings.last_paid_audit) == (6, NOW - 100)


def test_read_is_paid_above_what_is_earned() -> None:
    proven = proven_once()
    taken = pay(proven.channel, proven.earnings, 17, spent=7)
    assert (taken.delta, taken.earnings.prepaid, taken.earnings.unpaid) == (7, 0, 0)
    with pytest.raises(PaymentTooLow) as caught:
        pay(proven.channel, proven.earnings, 16, spent=7)
    assert caught.value.detail == {"total": 16, "needed": 17}


def test_payment_above_the_deposit_is_refused_with_both_values() -> None:
    with pytest.raises(AboveDeposit) as caught:
        pay(CHANNEL, Earnings(), 1001)
    assert caught.value.detail == {"total": 1001, "deposit": 1000}


def test_payment_must_be_without_condition() -> None:
    with pytest.raises(ConditionalPayment) as caught:
        accept_payment(DOMAIN, CHANNEL, Earnings(), make_voucher(5, CONDITION), storage_rate=RATE)
    assert caught.value.condition == CONDITION


def test_payment_of_another_channel_is_refused() -> None:
    other = ChannelId(b"\x0a" * 32)
    with pytest.raises(WrongChannel) as caught:
        accept_payment(DOMAIN, CHANNEL, Earnings(), make_voucher(5, channel=other), storage_rate=RATE)
    assert caught.value.detail == {"expected": CHANNEL.id, "actual": other}


def test_payment_signed_by_a_stranger_is_refused() -> None:
    with pytest.raises(WrongSigner):
        accept_payment(DOMAIN, CHANNEL, Earnings(), make_voucher(5, key=STRANGER), storage_rate=RATE)


@pytest.mark.parametrize("total", [5, 10])
def test_stranger_is_named_even_where_its_voucher_would_bring_nothing(total: int) -> None:
    paid = pay(CHANNEL, Earnings(), 10)
    with pytest.raises(WrongSigner):
        accept_payment(
            DOMAIN, paid.channel, paid.earnings, make_voucher(total, key=STRANGER), storage_rate=RATE
        )


def test_signer_recovered_beforehand_is_compared() -> None:
    signed = make_voucher(5)
    signer = voucher_signer(DOMAIN, signed)
    taken = accept_payment(DOMAIN, CHANNEL, Earnings(), signed, storage_rate=RATE, signer=signer)
    assert taken.earnings.paid == signed
    with pytest.raises(WrongSigner) as caught:
        accept_payment(DOMAIN, CHANNEL, Earnings(), signed, storage_rate=RATE, signer=STRANGER.address)
    assert caught.value.detail == {"expected": SIGNER.address, "recovered": STRANGER.address}


def test_closing_channel_takes_the_payment_of_old_work_and_claims_it() -> None:
    promised = apply(CHANNEL, VoucherSigned(Amount(10)))[0]
    closing = apply(promised, CloseRequested(CLOSES_AT))[0]
    taken = pay(closing, Earnings(), 10)
    assert taken.effects == (ClaimNow(CHANNEL.id, Amount(10), CLOSES_AT),)
    with pytest.raises(ChannelClosing):
        pay(closing, Earnings(), 11)


# --- the farmer takes an audit's voucher


def test_proof_earns_its_step() -> None:
    proven = proven_once()
    assert (proven.delta, proven.channel.earned, proven.earnings.unpaid) == (10, 10, 10)
    assert (proven.earnings.proven, proven.earnings.proven_at) == (make_voucher(10, CONDITION), NOW)


def test_same_proof_again_changes_nothing() -> None:
    proven = proven_once()
    again = prove(proven.channel, proven.earnings, 10, at=Timestamp(NOW + 5))
    assert again == Accepted(proven.channel, proven.earnings, Amount(0), ())


def test_next_audit_needs_the_last_one_paid() -> None:
    proven = proven_once()
    with pytest.raises(PaidTooLow) as caught:
        prove(proven.channel, proven.earnings, 20)
    assert caught.value.detail == {"paid": 0, "earned": 10}
    paid = pay(proven.channel, proven.earnings, 10)
    assert prove(paid.channel, paid.earnings, 20).channel.earned == 20


@pytest.mark.parametrize("total", [9, 11])
def test_audit_promises_exactly_one_step(total: int) -> None:
    with pytest.raises(WrongStep) as caught:
        prove(CHANNEL, Earnings(), total)
    assert caught.value.detail == {"total": total, "expected": 10}


def test_audit_depends_on_its_own_challenge() -> None:
    with pytest.raises(WrongCondition) as caught:
        accept_proven(
            DOMAIN, CHANNEL, Earnings(), make_voucher(10), condition=CONDITION, step=Amount(10), now=NOW
        )
    assert caught.value.detail == {"expected": CONDITION, "actual": bytes(32)}


def test_audit_of_another_channel_or_signer_is_refused() -> None:
    other = make_voucher(10, CONDITION, channel=ChannelId(b"\x0a" * 32))
    stranger = make_voucher(10, CONDITION, key=STRANGER)
    for signed, error in ((other, WrongChannel), (stranger, WrongSigner)):
        with pytest.raises(error):
            accept_proven(DOMAIN, CHANNEL, Earnings(), signed, condition=CONDITION, step=Amount(10), now=NOW)


def test_audit_above_the_deposit_is_refused() -> None:
    with pytest.raises(AboveDeposit):
        prove(CHANNEL, Earnings(), 1001, step=1001)


# --- what is owed


def test_nothing_stored_and_nothing_proven_owes_nothing() -> None:
    assert exposure([Earnings()], Amount(0), NOW) == 0


def test_storage_time_since_the_last_paid_audit_is_owed() -> None:
    stored = begun()
    assert exposure([stored], RATE, NOW) == 0
    assert exposure([stored], RATE, Timestamp(NOW + 60)) == 60
    assert exposure([stored], RATE, Timestamp(NOW - 60)) == 0


def test_the_first_storage_never_turns_the_clock_back() -> None:
    stored = begun()
    again = grow_storage(stored, Amount(0), RATE, Timestamp(NOW - 60))
    assert again.last_paid_audit == stored.last_paid_audit


@pytest.mark.parametrize("growth", [1, 2, 3, 7, 1_000])
def test_what_is_stored_later_owes_nothing_for_the_time_before(growth: int) -> None:
    later, after = Timestamp(NOW + 600), Amount(RATE * growth)
    grown = grow_storage(begun(), RATE, after, later)
    assert 600 - growth < exposure([grown], after, later) <= 600
    assert exposure([grown], after, Timestamp(later + 10)) == exposure([grown], after, later) + 10 * growth


def test_a_prepayment_lasts_the_shorter_the_more_is_stored() -> None:
    prepaid = pay(CHANNEL, begun(), 100).earnings
    later, after = Timestamp(NOW + 40), Amount(3 * RATE)
    grown = grow_storage(prepaid, RATE, after, later)
    assert exposure([grown], after, Timestamp(later + 20)) == 0
    assert 27 <= exposure([grown], after, Timestamp(later + 30)) <= 30


def test_an_audit_paid_after_more_was_stored_settles_the_time_before_it() -> None:
    proven = proven_once(at=Timestamp(NOW - 10))
    after = Amount(4 * RATE)
    grown = grow_storage(proven.earnings, RATE, after, NOW)
    paid = pay(proven.channel, grown, 10, rate=after).earnings
    assert 10 - 4 < exposure([paid], after, NOW) <= 10 + 4


def test_a_part_that_was_proven_stays_that_part_when_more_is_stored() -> None:
    half = accept_proven(
        DOMAIN,
        CHANNEL,
        begun(Timestamp(NOW - 100)),
        make_voucher(10, CONDITION),
        condition=CONDITION,
        step=Amount(10),
        now=NOW,
        rate=Amount(RATE // 2),
    )
    after = Amount(2 * RATE)
    paid = pay(half.channel, grow_storage(half.earnings, RATE, after, NOW), 10, rate=after).earnings
    assert 48 <= exposure([paid], after, NOW) <= 52


@pytest.mark.parametrize("seconds", [1, 7, 600])
def test_storing_the_same_anew_and_ending_the_old_is_rid_of_no_debt(seconds: int) -> None:
    account, now, twice = begun(), Timestamp(NOW + seconds), Amount(2 * RATE)
    for _ in range(10):
        account = grow_storage(account, RATE, twice, now)
        assert exposure([account], twice, now) == seconds
        (account,) = end_storage([account], twice, RATE, now)
        assert exposure([account], RATE, now) == seconds
    assert exposure([account], RATE, Timestamp(now + 5)) >= seconds + 5


def test_growing_every_second_owes_every_second() -> None:
    account = begun()
    for second in range(1, 61):
        account = grow_storage(account, RATE, Amount(RATE + 1), Timestamp(NOW + second))
    assert 60 <= exposure([account], RATE, Timestamp(NOW + 60)) <= 61


def test_what_is_owed_outlives_the_last_of_what_was_stored() -> None:
    (ended,) = end_storage([begun()], RATE, Amount(0), Timestamp(NOW + 100))
    assert exposure([ended], Amount(0), Timestamp(NOW + 5_000)) == 100
    again = grow_storage(ended, Amount(0), RATE, Timestamp(NOW + 5_000))
    assert exposure([again], RATE, Timestamp(NOW + 5_010)) == 110


def test_an_end_by_the_calendar_is_paid_for_until_then() -> None:
    (ended,) = end_storage([begun()], RATE, Amount(0), Timestamp(NOW + 100))
    assert end_storage([ended], Amount(0), Amount(0), Timestamp(NOW + 9_000)) == (ended,)
    assert end_storage([begun()], RATE, Amount(0), NOW) == (begun(),)
    assert end_storage([], RATE, Amount(0), NOW) == ()


def test_arrears_sink_by_what_an_audit_pays_and_lend_the_rate_of_before_until_then() -> None:
    later, small = Timestamp(NOW + 25), Amount(RATE // 5)
    (ended,) = end_storage([begun()], RATE, small, later)
    channel, arrears = CHANNEL, 20
    for total in (10, 20):
        assert (ended.arrears, lent_rate([ended], small)) == (arrears, RATE)
        proven = prove(channel, ended, total, at=later)
        paid = pay(proven.channel, proven.earnings, total, rate=small)
        channel, ended, arrears = paid.channel, paid.earnings, arrears - 10
    assert (ended.arrears, ended.arrears_rate, exposure([ended], small, later)) == (0, 0, 0)
    assert lent_rate([ended], small) == small
    assert lent_rate([], small) == small


def test_arrears_are_owed_once_over_all_channels_and_by_a_new_one_too() -> None:
    old = grow_storage(Earnings(), Amount(0), RATE, Timestamp(NOW - 1_000))
    both = end_storage([old, begun()], RATE, Amount(0), Timestamp(NOW + 100))
    assert exposure(both, Amount(0), NOW) == 100
    fresh = continue_storage(Earnings(), both)
    assert exposure([fresh], Amount(0), NOW) == exposure([*both, fresh], Amount(0), NOW) == 100
    assert continue_storage(Earnings(), []) == Earnings()


def test_what_was_paid_ahead_covers_arrears() -> None:
    prepaid = pay(CHANNEL, begun(), 60).earnings
    (ended,) = end_storage([prepaid], RATE, Amount(0), Timestamp(NOW + 100))
    assert exposure([ended], Amount(0), Timestamp(NOW + 100)) == 40


def test_proven_and_unpaid_work_is_owed_besides() -> None:
    assert exposure([proven_once().earnings], RATE, NOW) == 10 + 100


def test_paid_audit_pays_for_the_storage_before_it() -> None:
    proven = proven_once()
    taken = pay(proven.channel, proven.earnings, 10)
    assert taken.earnings.last_paid_audit == NOW
    assert exposure([taken.earnings], RATE, Timestamp(NOW + 7)) == 7


def test_prepayment_offsets_storage_time() -> None:
    stored = pay(CHANNEL, begun(), 50).earnings
    assert exposure([stored], RATE, Timestamp(NOW + 50)) == 0
    assert exposure([stored], RATE, Timestamp(NOW + 80)) == 30


def test_what_a_revocable_voucher_paid_is_owed_until_it_is_claimed() -> None:
    proven = proven_once()
    paid = replace(pay(proven.channel, proven.earnings, 60).earnings, revocable=True)  # 10 proven, 50 ahead
    assert exposure([paid], RATE, NOW) == 10
    assert exposure([paid], RATE, Timestamp(NOW + 20)) == 10 + 20
    assert exposure([paid], RATE, Timestamp(NOW + 70)) == 10 + 70
    half = record_claimed(paid, Amount(30), RATE)
    assert exposure([half], RATE, Timestamp(NOW + 70)) == 10 + 70 - 30
    claimed = record_claimed(paid, Amount(60), RATE)
    assert exposure([claimed], RATE, Timestamp(NOW + 50)) == 0
    assert exposure([claimed], RATE, Timestamp(NOW + 70)) == 20


def test_several_channels_of_a_renter_owe_together() -> None:
    first = proven_once().earnings  # 10 unpaid
    second = pay(CHANNEL, begun(), 50).earnings
    assert exposure([], RATE, NOW) == 0
    assert exposure([first, second], RATE, Timestamp(NOW + 80)) == 10 + 80 - 50


def test_prepayment_does_not_pay_for_proven_work() -> None:
    stored = pay(CHANNEL, begun(), 50)
    proven = prove(stored.channel, stored.earnings, 60)
    assert exposure([proven.earnings], RATE, NOW) == 10


def test_time_away_is_taken_from_the_prepayment_at_the_next_paid_audit() -> None:
    stored = pay(CHANNEL, begun(), 50)
    back = Timestamp(NOW + 40)
    proven = prove(stored.channel, stored.earnings, 60, at=back)
    paid = pay(proven.channel, proven.earnings, 60).earnings
    assert (paid.prepaid, paid.last_paid_audit) == (50 - (40 - 10), back)


def test_regular_audits_leave_the_prepayment_alone() -> None:
    stored = pay(CHANNEL, begun(), 50)
    proven = prove(stored.channel, stored.earnings, 60, at=Timestamp(NOW + 10))
    assert pay(proven.channel, proven.earnings, 60).earnings.prepaid == 50


def test_prepayment_used_up_is_zero_not_less() -> None:
    stored = pay(CHANNEL, begun(), 50)
    proven = prove(stored.channel, stored.earnings, 60, at=Timestamp(NOW + 500))
    assert pay(proven.channel, proven.earnings, 60).earnings.prepaid == 0


def test_push_pays_proven_work_and_then_ahead() -> None:
    proven = proven_once(at=Timestamp(NOW - 100))
    pushed = record_claimed(proven.earnings, Amount(25), RATE)
    assert (pushed.covered, pushed.earned, pushed.unpaid, pushed.prepaid) == (25, 25, 0, 15)
    assert record_claimed(pushed, Amount(25), RATE) == pushed


def test_claim_of_a_voucher_changes_no_account() -> None:
    paid = pay(CHANNEL, Earnings(), 30).earnings
    claimed = record_claimed(paid, Amount(30), RATE)
    assert claimed == replace(paid, claimed=Amount(30))


def test_voucher_below_a_push_brings_nothing() -> None:
    pushed = record_claimed(Earnings(), Amount(25), RATE)
    channel = apply(CHANNEL, Claimed(Amount(25)))[0]
    assert pay(channel, pushed, 20).earnings == pushed
    assert pay(channel, pushed, 30).delta == 5


def test_push_that_a_reorganisation_took_back_is_owed_again() -> None:
    proven = proven_once(at=Timestamp(NOW - 100))
    pushed = record_claimed(proven.earnings, Amount(25), RATE)
    back = record_claimed(pushed, Amount(0), RATE)
    assert (back.covered, back.earned, back.unpaid, back.prepaid) == (0, 10, 10, 0)
    made_up = pay(apply(proven.channel, Claimed(Amount(25)))[0], back, 25)
    assert made_up.earnings.paid is not None
    assert (made_up.earnings.covered, made_up.earnings.prepaid, made_up.delta) == (25, 15, 15)


def test_claim_that_a_reorganisation_took_back_leaves_the_voucher() -> None:
    paid = pay(CHANNEL, Earnings(), 30).earnings
    assert record_claimed(record_claimed(paid, Amount(30), RATE), Amount(0), RATE) == paid


# --- the renter's side


def test_next_step_promises_earned_and_step() -> None:
    channel, voucher = next_step(CHANNEL, Amount(10), CONDITION)
    assert voucher == Voucher(CHANNEL.id, Amount(10), CONDITION)
    assert (channel.promised, channel.earned) == (10, 0)


def test_step_that_was_never_proven_is_promised_again_not_added() -> None:
    channel, _ = next_step(CHANNEL, Amount(10), CONDITION)
    again, voucher = next_step(channel, Amount(10), b"\xc1" * 32)
    assert voucher.cumulative_amount == 10
    assert again == channel


def test_proof_makes_the_promise_earned() -> None:
    channel, voucher = next_step(CHANNEL, Amount(10), CONDITION)
    channel = record_proof(channel, voucher.cumulative_amount)
    assert channel.earned == 10
    assert next_payment(channel)[1] == Voucher(CHANNEL.id, Amount(10))
    assert next_step(channel, Amount(10), CONDITION)[1].cumulative_amount == 20


def test_proof_of_what_was_never_promised_is_refused() -> None:
    with pytest.raises(NotPromised) as caught:
        record_proof(CHANNEL, Amount(10))
    assert caught.value.detail == {"total": 10, "promised": 0}


def test_payment_is_earned_when_it_leaves() -> None:
    channel, voucher = next_payment(CHANNEL, Amount(7))
    assert (voucher.cumulative_amount, voucher.conditional) == (7, False)
    assert (channel.promised, channel.earned) == (7, 7)


@pytest.mark.parametrize("extra", [1001, 2**96 - 1])
def test_nothing_is_promised_above_the_deposit(extra: int) -> None:
    with pytest.raises(InsufficientDeposit) as caught:
        next_payment(CHANNEL, Amount(extra))
    assert caught.value.detail == {"needed": extra, "deposit": 1000}
    with pytest.raises(InsufficientDeposit):
        next_step(CHANNEL, Amount(extra), CONDITION)


def test_amount_beyond_a_uint96_is_named_so() -> None:
    with pytest.raises(AmountOutOfRange):
        next_payment(CHANNEL, Amount(2**96))


def test_closing_renter_pays_old_work_only() -> None:
    channel, voucher = next_step(CHANNEL, Amount(10), CONDITION)
    closing = apply(record_proof(channel, voucher.cumulative_amount), CloseRequested(CLOSES_AT))[0]
    assert next_payment(closing)[1].cumulative_amount == 10
    with pytest.raises(ChannelClosing):
        next_payment(closing, Amount(1))


# --- a restored node learns again


def test_restored_renter_learns_its_payment() -> None:
    restored = recall_voucher(DOMAIN, CHANNEL, make_voucher(40), proven=False)
    assert (restored.promised, restored.earned) == (40, 40)


@pytest.mark.parametrize(("proven", "earned"), [(True, 40), (False, 0)])
def test_conditional_voucher_counts_as_earned_only_with_its_proof(proven: bool, earned: int) -> None:
    restored = recall_voucher(DOMAIN, CHANNEL, make_voucher(40, CONDITION), proven=proven)
    assert (restored.promised, restored.earned) == (40, earned)


def test_restored_node_believes_only_its_own_signature() -> None:
    with pytest.raises(WrongSigner):
        recall_voucher(DOMAIN, CHANNEL, make_voucher(40, key=STRANGER), proven=False)
    with pytest.raises(WrongChannel):
        recall_voucher(DOMAIN, CHANNEL, make_voucher(40, channel=ChannelId(b"\x0a" * 32)), proven=False)


def test_restored_node_reads_the_chain_first() -> None:
    with pytest.raises(AboveDeposit):
        recall_voucher(DOMAIN, make_channel(0), make_voucher(40), proven=False)


# --- both sides together


@st.composite
def deals(draw: st.DrawFn) -> list[tuple[str, int]]:
    kinds = st.sampled_from(["audit", "lost audit", "lost answer", "read", "prepay", "push"])
    return draw(st.lists(st.tuples(kinds, st.integers(1, 30)), max_size=25))


class Books:
    """Both sides of one channel, trading; every message arrives unless the deal says otherwise."""

    def __init__(self) -> None:
        self.renter, self.farmer, self.earnings = CHANNEL, CHANNEL, Earnings()
        self.now = NOW

    def trade(self, kind: str, value: Amount) -> None:
        self.now = Timestamp(self.now + 10)
        match kind:
            case "audit" | "lost audit" | "lost answer":
                self.audit(kind, value)
            case "push":
                total = Amount(self.renter.earned + value)
                self.renter, _ = apply(self.renter, Claimed(total))
                self.farmer, _ = apply(self.farmer, Claimed(total))
                self.earnings = record_claimed(self.earnings, total, RATE)
            case _:
                self.renter, payment = next_payment(self.renter, value)
                self.take(payment, spent=value if kind == "read" else Amount(0))

    def audit(self, kind: str, step: Amount) -> None:
        self.renter, paid = next_payment(self.renter)
        self.renter, promise = next_step(self.renter, step, CONDITION)
        if kind == "lost audit":
            return
        self.take(paid)
        signed = sign_voucher(DOMAIN, promise, SIGNER)
        taken = accept_proven(
            DOMAIN, self.farmer, self.earnings, signed, condition=CONDITION, step=step, now=self.now
        )
        self.farmer, self.earnings = taken.channel, taken.earnings
        if kind == "lost answer":  # the farmer shows voucher and proof when they next meet
            self.renter = recall_voucher(DOMAIN, self.renter, signed, proven=True)
        self.renter = record_proof(self.renter, promise.cumulative_amount)

    def take(self, voucher: Voucher, spent: Amount = Amount(0)) -> None:  # noqa: B008
        signed = sign_voucher(DOMAIN, voucher, SIGNER)
        taken = accept_payment(DOMAIN, self.farmer, self.earnings, signed, storage_rate=RATE, spent=spent)
        self.farmer, self.earnings = taken.channel, taken.earnings


@given(deals())
def test_both_sides_keep_the_same_books(deal: list[tuple[str, int]]) -> None:
    books = Books()
    for kind, value in deal:
        if books.renter.earned + value > books.renter.deposit:
            break
        books.trade(kind, Amount(value))
        assert books.renter.earned == books.farmer.earned == books.earnings.earned
        assert books.farmer.promised <= books.renter.promised <= books.renter.deposit
        assert exposure([books.earnings], RATE, books.now) >= books.earnings.unpaid >= 0
