"""A renter's debt: storage time since its last paid audit, and arrears for storage that is there no more.

One clock and one sum of arrears for all its channels with a farmer; what is stored and deleted moves them so
that a debt stays what it is. `exposure` says what the farmer would lose if the renter never came back.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from payments.ledger import Earnings
from payments.prices import storage_price
from payments.types import Amount, Seconds, Timestamp, to_amount

_NOTHING: Final = Amount(0)


def grow_storage(earnings: Earnings, before: Amount, after: Amount, now: Timestamp) -> Earnings:
    """More is stored from `now` on: what is owed so far stays what it is, the new part begins at nothing.

    before, after: the storage rate, base units a month; the first agreement starts the clock. There is one
    clock for all that is stored, so it is moved: the time that is owed shrinks as the rate grows, and what
    whole seconds cannot say of it joins the arrears.
    """
    if after <= before:
        return earnings

    def move(at: Timestamp) -> Timestamp:
        return at if at >= now else Timestamp(now - (now - at) * before // after)

    asked = min(earnings.proven_rate, before) * after // before if before else after
    moved = replace(
        earnings,
        last_paid_audit=move(earnings.last_paid_audit),
        proven_at=move(earnings.proven_at),
        proven_rate=to_amount(asked),
    )
    lost = _storage_time(earnings, before, now) - _storage_time(moved, after, now)
    return moved.in_arrears(moved.arrears + lost, after) if lost > 0 else moved


def end_storage(
    channels: Sequence[Earnings], before: Amount, after: Amount, until: Timestamp
) -> tuple[Earnings, ...]:
    """Less is stored, to be paid for `until` then: what is owed so far stays owed, as arrears.

    channels: all of the renter's, which owe together. before, after: the storage rate, as in `grow_storage`.
    Deleting costs nothing and saves nothing: else a debt would be got rid of by storing the same anew.
    """
    if not channels or after >= before:
        return tuple(channels)
    newest = _newest(channels)
    owed = newest.arrears + _storage_time(newest, Amount(before - after), until)
    rate = max(before, newest.arrears_rate)
    return tuple(one.in_arrears(owed, rate) for one in channels) if owed else tuple(channels)


def continue_storage(fresh: Earnings, channels: Sequence[Earnings]) -> Earnings:
    """Let a renter's new channel owe what its others do: opening one pays for nothing."""
    if not channels:
        return fresh
    newest = _newest(channels)
    begun = replace(fresh, last_paid_audit=newest.last_paid_audit)
    return begun.in_arrears(newest.arrears, newest.arrears_rate)


def lent_rate(channels: Sequence[Earnings], storage_rate: Amount) -> Amount:
    """The storage rate by which to measure what may be owed: that of before, until its arrears are paid."""
    return max(storage_rate, _newest(channels).arrears_rate) if channels else storage_rate


def exposure(channels: Sequence[Earnings], storage_rate: Amount, now: Timestamp) -> Amount:
    """What the farmer would lose if this renter, here with all its channels, never came back.

    Proven, unpaid work, plus storage time since the last paid audit as far as no prepayment covers it: one
    clock for all channels, and what that left in arrears. What is only paid by revocable vouchers counts as
    unpaid until it is claimed, less what of it is ahead of any work. storage_rate: base units a month, as in
    `accept_payment`.
    """
    if not channels:
        return _NOTHING
    newest = _newest(channels)
    ahead = sum(one.prepaid - one.revocable_amount for one in channels)
    unpaid = sum(one.unpaid for one in channels)
    return Amount(unpaid + max(0, newest.arrears + _storage_time(newest, storage_rate, now) - ahead))


def _newest(channels: Sequence[Earnings]) -> Earnings:
    """The channel whose clock and arrears are its renter's: the last through which an audit was paid."""
    return max(channels, key=lambda one: (one.last_paid_audit, one.arrears))


def _storage_time(earnings: Earnings, rate: Amount, until: Timestamp) -> int:
    return storage_price(rate, Seconds(max(0, until - earnings.last_paid_audit)))
