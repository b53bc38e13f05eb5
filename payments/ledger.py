"""The ledger of one channel: what the payee has earned, what was paid for it, what the next voucher says.

The farmer's side is `Earnings`, the evidence behind the channel's totals: its newest unconditional voucher
(`paid`) and its newest conditional one whose proof is on disk (`proven`). The renter's side needs no
evidence, only the next total: `next_step`, `next_payment`. Both return the channel after the step; it is
written down before anything leaves the node.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

from payments.channel import Channel, Effect, VoucherAccepted, VoucherReturned, VoucherSigned, apply
from payments.eip712 import Domain
from payments.errors import (
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
from payments.prices import storage_price
from payments.types import MAX_AMOUNT, Address, Amount, Seconds, Timestamp, to_amount
from payments.vouchers import SignedVoucher, Voucher, verify_voucher

_NOTHING: Final = Amount(0)
_NEVER: Final = Timestamp(0)


@dataclass(frozen=True, slots=True)
class Earnings:
    """The farmer's evidence and accounts for one channel.

    paid: newest unconditional voucher. proven: newest conditional one, its proof stored, when (`proven_at`),
    and what the agreements it proved bring a month (`proven_rate`). claimed: total paid out on chain (a push
    pays without a voucher). prepaid: money paid ahead of any work, less what storage time has used up.
    last_paid_audit: storage before it is paid for. arrears: owed since then for storage that is there no
    more; arrears_rate: the highest storage rate while they are owed. revocable: a contract signs (ERC-1271),
    and may refuse tomorrow what it accepts today.
    """

    paid: SignedVoucher | None = None
    proven: SignedVoucher | None = None
    prepaid: Amount = _NOTHING
    last_paid_audit: Timestamp = _NEVER
    proven_at: Timestamp = _NEVER
    proven_rate: Amount = MAX_AMOUNT
    claimed: Amount = _NOTHING
    revocable: bool = False
    arrears: Amount = _NOTHING
    arrears_rate: Amount = _NOTHING

    @property
    def covered(self) -> Amount:
        """Total that is paid without any condition: by voucher or on chain."""
        return Amount(max(self.claimed, self.paid.total if self.paid else 0))

    @property
    def earned(self) -> Amount:
        """Total the farmer has a right to; the same as the channel's `earned`."""
        return Amount(max(self.covered, self.proven.total if self.proven else 0))

    @property
    def unpaid(self) -> Amount:
        """Proven work that no unconditional voucher covers yet."""
        return Amount(max(0, self.proven.total - self.covered) if self.proven else 0)

    @property
    def revocable_amount(self) -> Amount:
        """What was paid by vouchers that may still turn out worthless: nothing once it is claimed."""
        return Amount(self.covered - self.claimed if self.revocable else 0)

    def in_arrears(self, owed: int, rate: Amount) -> Self:
        """The same with these arrears, of storage that brought at most `rate` a month."""
        owed = min(owed, MAX_AMOUNT)
        rate = max(rate, self.arrears_rate) if owed else _NOTHING
        return replace(self, arrears=Amount(owed), arrears_rate=rate)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The farmer's books after a voucher, to be stored together. `delta`: the rise of `earned`, often 0."""

    channel: Channel
    earnings: Earnings
    delta: Amount
    effects: tuple[Effect, ...]


def accept_payment(
    domain: Domain,
    channel: Channel,
    earnings: Earnings,
    signed: SignedVoucher,
    *,
    storage_rate: Amount,
    spent: Amount = _NOTHING,
    signer: Address | None = None,
) -> Accepted:
    """Take an unconditional voucher: a payment for proven work, for a read, or ahead of time.

    storage_rate: base units a month that all agreements of the channel bring (sum of `prices.step_rate`).
    spent: what the payment buys at once (a read's price); it must reach earned + spent, the rest of the rise
    counts as prepaid. signer: who signed, where the caller has recovered it already (`voucher_signer`, the
    slow part). A voucher that brings nothing new is no error: the books come back unchanged, delta 0.

    Raises WrongChannel, ConditionalPayment, PaymentTooLow, AboveDeposit, ChannelClosing, ChannelFrozen or a
    SignatureError; nothing has changed then.
    """
    _check_channel(channel, signed)
    total, covered, earned = signed.total, earnings.covered, earnings.earned
    if signed.voucher.conditional:
        raise ConditionalPayment(signed.voucher.condition)
    if spent and total < earned + spent:
        raise PaymentTooLow(total, earned + spent)
    _check_signer(domain, channel, signed, signer)
    if total <= covered:
        return Accepted(channel, earnings, _NOTHING, ())
    after, effects = apply(channel, VoucherAccepted(total))
    books = replace(_cover(earnings, total, storage_rate, spent), paid=signed)
    return Accepted(after, books, Amount(max(0, total - earned)), effects)


def accept_proven(
    domain: Domain,
    channel: Channel,
    earnings: Earnings,
    signed: SignedVoucher,
    *,
    condition: bytes,
    step: Amount,
    now: Timestamp,
    rate: Amount = MAX_AMOUNT,
    signer: Address | None = None,
) -> Accepted:
    """Take an audit's conditional voucher before making the proof; both count once they are on disk.

    condition: the digest of the challenge, recomputed by the farmer (32 bytes). step: the sum of its items'
    steps. rate: the sum of their `prices.step_rate`, the part of all storage that is paid for (default: all
    of it). signer: as in `accept_payment`. Take the renter's `paid` by `accept_payment` first. The voucher
    must promise exactly earned + step. The same voucher again changes nothing.

    Raises WrongChannel, WrongCondition, PaidTooLow, WrongStep, AboveDeposit, ChannelClosing, ChannelFrozen
    or a SignatureError; nothing has changed then.
    """
    _check_channel(channel, signed)
    if signed.voucher.condition != condition:
        raise WrongCondition(condition, signed.voucher.condition)
    if signed == earnings.proven:
        return Accepted(channel, earnings, _NOTHING, ())
    if earnings.unpaid:
        raise PaidTooLow(earnings.covered, earnings.earned)
    if signed.total != earnings.earned + step:
        raise WrongStep(signed.total, earnings.earned + step)
    after, effects = apply(channel, VoucherAccepted(signed.total))
    _check_signer(domain, channel, signed, signer)
    books = replace(earnings, proven=signed, proven_at=now, proven_rate=rate)
    return Accepted(after, books, step, effects)


def record_claimed(earnings: Earnings, total: Amount, storage_rate: Amount) -> Earnings:
    """Book the total the chain has paid. Beyond the vouchers it is a push, paying proven work, then ahead.

    A lower total than before is what a reorganisation has left of it: what only the chain had paid is unpaid
    again, so that a voucher may make up for it.
    """
    if total < earnings.claimed:
        left = replace(earnings, claimed=total)
        lost = earnings.covered - left.covered
        return replace(left, prepaid=Amount(max(0, earnings.prepaid - lost)))
    if total == earnings.claimed:
        return earnings
    if total <= earnings.covered:
        return replace(earnings, claimed=total)
    return replace(_cover(earnings, total, storage_rate, _NOTHING), claimed=total)


def next_step(channel: Channel, step: Amount, condition: bytes) -> tuple[Channel, Voucher]:
    """Promise earned + step on a challenge's condition. The renter stores the channel, then signs and sends.

    Raises InsufficientDeposit, ChannelClosing or ChannelFrozen.
    """
    total = _promised_total(channel, step)
    after, _ = apply(channel, VoucherSigned(total))
    return after, Voucher(channel.id, total, condition)


def next_payment(channel: Channel, extra: Amount = _NOTHING) -> tuple[Channel, Voucher]:
    """Promise earned + extra without condition: `extra` 0 pays proven work, else also a read or time ahead.

    It is earned the moment it leaves: store the channel, then sign and send. Raises as `next_step` does.
    """
    total = _promised_total(channel, extra)
    after, _ = apply(channel, VoucherSigned(total))
    after, _ = apply(after, VoucherAccepted(total))
    return after, Voucher(channel.id, total)


def record_proof(channel: Channel, total: Amount) -> Channel:
    """Book a verified proof on the renter's side: its voucher's total is earned now. Raises NotPromised."""
    if total > channel.promised:
        raise NotPromised(total, channel.promised)
    after, _ = apply(channel, VoucherAccepted(total))
    return after


def recall_voucher(domain: Domain, channel: Channel, signed: SignedVoucher, *, proven: bool) -> Channel:
    """Learn again from the peer what was signed: a restored node does this before it signs anything.

    An unconditional voucher, or a conditional one whose proof was checked (`proven`), raises earned; one
    without proof raises only promised. Raises WrongChannel, a SignatureError, or AboveDeposit (read the
    chain first).
    """
    _check_channel(channel, signed)
    verify_voucher(domain, signed, channel.terms.signer)
    after, _ = apply(channel, VoucherReturned(signed.total))
    return record_proof(after, signed.total) if proven or not signed.voucher.conditional else after


def _promised_total(channel: Channel, extra: Amount) -> Amount:
    total = to_amount(channel.earned + extra)
    if total > channel.deposit:
        raise InsufficientDeposit(total, channel.deposit)
    return total


def _check_channel(channel: Channel, signed: SignedVoucher) -> None:
    if signed.voucher.channel_id != channel.id:
        raise WrongChannel(channel.id, signed.voucher.channel_id)


def _check_signer(domain: Domain, channel: Channel, signed: SignedVoucher, signer: Address | None) -> None:
    if signer is None:
        verify_voucher(domain, signed, channel.terms.signer)
    elif signer != channel.terms.signer:
        raise WrongSigner(channel.terms.signer, signer)


def _cover(before: Earnings, covered: Amount, storage_rate: Amount, spent: Amount) -> Earnings:
    """Account for a rise of what is covered: the prepayment after it, and until when storage is paid.

    An audit now paid pays for the storage time before it, in proportion to how much of the storage it asked
    for: who audits a twentieth pays for a twentieth of the time. The surplus is prepaid. Time that the paid
    step does not cover (audits missed while the renter was away) is taken from the prepayment. Arrears sink
    by what the audit pays: who goes on with what it keeps is rid of them soon, who keeps a crumb is not.
    """
    prepaid, last, unpaid = int(before.prepaid), before.last_paid_audit, before.unpaid
    arrears = int(before.arrears)
    earned = before.covered + unpaid
    if unpaid and covered >= earned:
        elapsed = max(0, before.proven_at - last)
        if before.proven_rate < storage_rate:
            elapsed = elapsed * before.proven_rate // storage_rate
        missed = storage_price(storage_rate, Seconds(elapsed)) - unpaid
        prepaid = max(0, prepaid - max(0, missed))
        last = Timestamp(last + elapsed)
        arrears = max(0, arrears - unpaid)
    after = replace(
        before, prepaid=to_amount(prepaid + max(0, covered - earned - spent)), last_paid_audit=last
    )
    return after.in_arrears(arrears, before.arrears_rate)
