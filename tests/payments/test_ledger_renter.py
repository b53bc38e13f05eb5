"""The renter's books, and both sides': what is promised, what is earned, what a restored node learns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.channel import Claimed, CloseRequested, apply
from payments.debt import exposure
from payments.errors import (
    AboveDeposit,
    AmountOutOfRange,
    ChannelClosing,
    InsufficientDeposit,
    NotPromised,
    WrongChannel,
    WrongSigner,
)
from payments.ledger import (
    Earnings,
    accept_payment,
    accept_proven,
    next_payment,
    next_step,
    recall_voucher,
    record_claimed,
    record_proof,
)
from payments.types import Amount, ChannelId, Timestamp
from payments.vouchers import Voucher, sign_voucher
from tests.payments.accounts import CHANNEL, CLOSES_AT, NOW, RATE
from tests.payments.support import CONDITION, DOMAIN, SIGNER, STRANGER, make_channel, make_voucher

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
