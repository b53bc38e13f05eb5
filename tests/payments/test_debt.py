"""The farmer's books: what a renter owes, for proven work and for storage time."""

from dataclasses import replace

import pytest

from payments.channel import Claimed, apply
from payments.debt import continue_storage, end_storage, exposure, grow_storage, lent_rate
from payments.ledger import Earnings, accept_proven, record_claimed
from payments.types import Amount, Timestamp
from tests.payments.accounts import CHANNEL, NOW, RATE, begun, pay, prove, proven_once
from tests.payments.support import CONDITION, DOMAIN, make_voucher


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


def test_an_audit_paid_after_more_was_stored_pays_for_the_time_before_it() -> None:
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
