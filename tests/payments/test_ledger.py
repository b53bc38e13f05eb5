"""The farmer's books: what a voucher earns, what it pays, what is refused."""

import pytest

from payments.channel import ClaimNow, CloseRequested, VoucherSigned, apply
from payments.errors import (
    AboveDeposit,
    ChannelClosing,
    ConditionalPayment,
    PaidTooLow,
    PaymentTooLow,
    WrongChannel,
    WrongCondition,
    WrongSigner,
    WrongStep,
)
from payments.ledger import Accepted, Earnings, accept_payment, accept_proven
from payments.types import Amount, ChannelId, Timestamp
from payments.vouchers import voucher_signer
from tests.payments.accounts import CHANNEL, CLOSES_AT, NOW, RATE, pay, prove, proven_once
from tests.payments.support import CONDITION, DOMAIN, SIGNER, STRANGER, make_voucher

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
