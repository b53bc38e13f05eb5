"""The renter's money: every voucher it signs is made here, in the transaction that writes its total down.

Functions over an open connection, to be run by `Database.write`: when that returns, total, voucher and
audit are on disk, and only then they may leave. All of it is read in the same transaction, so processes
that share a database cannot sign past each other. A payment made while an audit is open gives the audit
a new voucher with the same condition; its total is what one audit may raise the channel by, once,
whatever is resent.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from node.audit import Answer, Challenge, Outcome, Try, Window, challenge_digest
from node.db import Connection
from node.db.renter_audits import (
    AuditRecord,
    Decision,
    decide_items,
    find_audit,
    group_decisions,
    insert_audit,
    load_audit,
    load_decisions,
    load_open_audits,
    update_audit,
)
from node.db.renter_peers import count_lapse
from node.db.renter_presence import record_presence
from node.db.renter_purses import Purse, load_purse, load_purses, save_purse
from node.db.renter_shards import mark_audited, record_checks
from node.db.restoration import is_frozen
from node.renter.context import Pen
from node.renter.errors import AuditOpen, NotReconciled, Unfunded, UnknownChannel
from payments.channel import Channel, Status
from payments.errors import ChannelError, InsufficientDeposit
from payments.ledger import next_payment, next_step, recall_voucher, record_proof
from payments.types import ZERO32, Amount, ChannelId, NodeId, Timestamp
from payments.vouchers import SignedVoucher, Voucher
from settlement.tables import load_channel, save_channel

_NOTHING = Amount(0)
_LAPSES = {Outcome.FAILED: False, Outcome.OFFLINE: False, Outcome.TIMED_OUT: False, Outcome.PASSED: True}
"""Outcomes that say something of the farmer, and whether it is good."""


@dataclass(frozen=True, slots=True)
class Account:
    """A channel and the renter's own side of it."""

    channel: Channel
    purse: Purse

    @property
    def farmer(self) -> NodeId:
        """Who is paid."""
        return self.purse.farmer

    @property
    def owes(self) -> bool:
        """Whether the farmer has earned more than it is known to hold unconditional vouchers for."""
        covered = max(self.purse.delivered, self.channel.claimed)
        return self.channel.earned > covered and self.channel.status is not Status.CLOSED


@dataclass(frozen=True, slots=True)
class Payment:
    """An unconditional voucher ready to leave; `added` is what it adds to the one before."""

    account: Account
    voucher: SignedVoucher
    added: Amount


def load_account(conn: Connection, channel_id: ChannelId) -> Account:
    """Return a channel with its purse. Raises UnknownChannel."""
    channel, purse = load_channel(conn, channel_id), load_purse(conn, channel_id)
    if channel is None or purse is None:
        raise UnknownChannel(channel_id)
    return Account(channel, purse)


def _spending(conn: Connection, channel_id: ChannelId) -> Account:
    """Return a channel in which something is to be signed. Raises NotReconciled, UnknownChannel."""
    account = load_account(conn, channel_id)
    if is_frozen(conn, channel_id):
        raise NotReconciled(account.farmer, "its farmer has not shown yet what it holds")
    return account


def list_accounts(conn: Connection, farmer: NodeId | None = None) -> list[Account]:
    """Return all channels that have a purse, or those to one farmer, by farmer and life."""
    found = ((load_channel(conn, purse.channel_id), purse) for purse in load_purses(conn, farmer))
    return [Account(channel, purse) for channel, purse in found if channel is not None]


def active_accounts(conn: Connection, farmer: NodeId | None = None) -> dict[NodeId, Account]:
    """Return for each farmer, or for one, the channel through which it is paid: see `active_account`."""
    accounts = list_accounts(conn, farmer)
    return {account.farmer: account for account in accounts if account.channel.status is Status.FUNDED}


def active_account(conn: Connection, farmer: NodeId) -> Account | None:
    """Return the channel through which this farmer is paid now: the youngest that is funded and open."""
    return active_accounts(conn, farmer).get(farmer)


# Payments


def issue_payment(conn: Connection, pen: Pen, channel_id: ChannelId, extra: Amount = _NOTHING) -> Payment:
    """Pay all that is earned, and `extra` for a read or ahead of time.

    With nothing new to pay, the voucher of before is shown again. Raises Unfunded, ChannelError,
    UnknownChannel.
    """
    account = _spending(conn, channel_id)
    channel, purse = account.channel, account.purse
    if not extra and purse.paid is not None and purse.paid_total == channel.earned:
        return Payment(account, purse.paid, _NOTHING)
    with _within_deposit(purse.farmer):
        after, voucher = next_payment(channel, extra)
    payment = _pay(conn, pen, Account(after, purse), voucher)
    if not extra:
        return payment
    return replace(payment, account=Account(reissue(conn, pen, after), payment.account.purse))


def issue_read(conn: Connection, pen: Pen, channel_id: ChannelId, price: Amount) -> Payment:
    """Pay all that is earned and one read; it counts as earned when the read has come: see record_read.

    Until then the next read is paid by the same total, so a farmer that delivers nothing holds one price.
    Raises Unfunded, ChannelError, UnknownChannel.
    """
    account = _spending(conn, channel_id)
    purse = account.purse
    with _within_deposit(purse.farmer):
        after, voucher = next_step(account.channel, price, ZERO32)
    if purse.paid is not None and purse.paid_total == voucher.cumulative_amount:
        return Payment(account, purse.paid, _NOTHING)
    return _pay(conn, pen, Account(after, purse), voucher)


def _pay(conn: Connection, pen: Pen, account: Account, voucher: Voucher) -> Payment:
    """Sign a payment and write it down; `account` with the channel as it is after it."""
    signed = pen.sign(voucher)
    added = Amount(max(0, signed.total - account.purse.paid_total))
    purse = replace(account.purse, paid=signed)
    save_channel(conn, account.channel)
    save_purse(conn, purse)
    return Payment(Account(account.channel, purse), signed, added)


@contextmanager
def _within_deposit(farmer: NodeId) -> Iterator[None]:
    """Say whose channel it is that holds too little. Raises Unfunded."""
    try:
        yield
    except InsufficientDeposit as error:
        raise Unfunded(farmer, error.needed, error.deposit) from error


def record_read(conn: Connection, pen: Pen, channel_id: ChannelId, total: Amount) -> Amount:
    """Note that a read has come for a voucher of this total; return what that earned the farmer."""
    before = load_account(conn, channel_id).channel
    after = record_proof(before, total)
    if after != before:
        save_channel(conn, after)
        reissue(conn, pen, after)
    record_delivery(conn, channel_id, total)
    return Amount(after.earned - before.earned)


def record_delivery(conn: Connection, channel_id: ChannelId, total: Amount) -> None:
    """Note that the farmer holds an unconditional voucher of this total."""
    purse = load_account(conn, channel_id).purse
    if total > purse.delivered:
        save_purse(conn, replace(purse, delivered=total))


def reissue(conn: Connection, pen: Pen, channel: Channel) -> Channel:
    """Give the open audit of a channel a voucher that comes on top of what has been earned since.

    Not in a frozen channel: then that is done when the audit is sent again.
    """
    if is_frozen(conn, channel.id):
        return channel
    for audit in load_open_audits(conn, channel.id):
        try:
            channel, voucher = next_step(channel, audit.step, audit.voucher.voucher.condition)
        except (InsufficientDeposit, ChannelError):
            continue  # the next try finds that out and says so
        save_channel(conn, channel)
        update_audit(conn, replace(audit, voucher=pen.sign(voucher)))
    return channel


# Audits


def issue_audit(
    conn: Connection,
    pen: Pen,
    channel_id: ChannelId,
    *,
    challenge: Challenge,
    step: Amount,
    window: Window,
    intervals: Mapping[bytes, int],
) -> AuditRecord:
    """Promise a step on the condition of a challenge; `intervals`: which audit of each agreement this is.

    Raises AuditOpen, Unfunded, ChannelError, UnknownChannel.
    """
    if load_open_audits(conn, channel_id):
        raise AuditOpen(channel_id)
    if _spending(conn, channel_id).channel.earned:
        issue_payment(conn, pen, channel_id)
    account = load_account(conn, channel_id)
    with _within_deposit(account.farmer):
        after, voucher = next_step(account.channel, step, challenge_digest(pen.domain, challenge))
    audit = AuditRecord(channel_id, challenge, pen.sign(voucher), step, window)
    save_channel(conn, after)
    insert_audit(conn, audit)
    for interval in set(intervals.values()):
        mark_audited(conn, [name for name, at in intervals.items() if at == interval], interval)
    return audit


def record_try(conn: Connection, audit_id: bytes, attempt: Try) -> AuditRecord | None:
    """Note what came of sending a challenge; return the audit as it stands."""
    audit = load_audit(conn, audit_id)
    if audit is None:
        return None
    audit = replace(audit, tries=(*audit.tries, attempt))
    update_audit(conn, audit)
    return audit


def pass_audit(conn: Connection, audit_id: bytes, now: Timestamp, reason: str) -> Amount:
    """Book a verified proof: its voucher's total is earned, all items are PASSED; return what it earned.

    A second time it earns nothing, for the total is the same. Raises UnknownChannel.
    """
    audit = load_audit(conn, audit_id)
    if audit is None:
        return _NOTHING
    account = load_account(conn, audit.channel_id)
    after = record_proof(account.channel, audit.voucher.total)
    save_channel(conn, after)
    _close_passed(conn, audit, now, reason)
    return Amount(after.earned - account.channel.earned)


def _close_passed(conn: Connection, audit: AuditRecord, now: Timestamp, reason: str) -> None:
    passed = [Decision(item.agreement, Outcome.PASSED, reason, now) for item in audit.challenge.items]
    close_audit(conn, replace(audit, tries=(*audit.tries, Try(now, Answer.PROVEN))), passed)


def find_claimed(conn: Connection) -> list[AuditRecord]:
    """Find the audits that were proven to the contract and not to us.

    A channel out of which more was claimed than was ever paid or accepted has paid a conditional voucher, and
    the contract asks for its proof.
    """
    found = []
    for account in list_accounts(conn):
        channel, purse = account.channel, account.purse
        if channel.claimed > max(purse.paid_total, channel.accepted):
            audit = find_audit(conn, channel.id, channel.claimed)
            found += [audit] if audit else []
    return found


def close_audit(conn: Connection, audit: AuditRecord, decisions: Iterable[Decision]) -> None:
    """End an audit and write what it came to for these agreements; another one asks for the rest."""
    known = list(decisions)
    update_audit(conn, replace(audit, open=False))
    decide_items(conn, audit.audit_id, known)
    for (outcome, _, at), agreements in group_decisions(known).items():
        record_checks(conn, agreements, outcome, at)
    purse = load_purse(conn, audit.channel_id)
    verdicts = [_LAPSES[decision.outcome] for decision in known if decision.outcome in _LAPSES]
    if purse is not None and verdicts:
        count_lapse(conn, purse.farmer, passed=all(verdicts))
        record_presence(conn, purse.farmer, known)


# What the farmer holds


def recall_paid(conn: Connection, pen: Pen, signed: SignedVoucher) -> None:
    """Learn an unconditional voucher from the farmer. Raises UnknownChannel, PaymentError."""
    account = load_account(conn, signed.voucher.channel_id)
    channel = recall_voucher(pen.domain, account.channel, signed, proven=False)
    if channel != account.channel:
        save_channel(conn, channel)
        reissue(conn, pen, channel)
    purse = account.purse
    if signed.voucher.condition == ZERO32 and signed.total > purse.paid_total:
        purse = replace(purse, paid=signed)
    save_purse(conn, replace(purse, delivered=Amount(max(purse.delivered, signed.total))))


def recall_proven(
    conn: Connection, pen: Pen, signed: SignedVoucher, challenge: Challenge, now: Timestamp
) -> Amount:
    """Learn from the farmer that it has proven a challenge; its proof was verified. Return what that earned.

    An audit that was given up is PASSED after all; one that has passed says nothing anew, however often its
    proof is shown. An open one gets a voucher on top of it. Raises UnknownChannel, PaymentError.
    """
    account = load_account(conn, signed.voucher.channel_id)
    channel = recall_voucher(pen.domain, account.channel, signed, proven=True)
    save_channel(conn, channel)
    audit = load_audit(conn, challenge.audit_id)
    if audit is not None and not _passed(conn, audit):
        _close_passed(conn, audit, now, "proven, though late")
    reissue(conn, pen, channel)
    return Amount(channel.earned - account.channel.earned)


def _passed(conn: Connection, audit: AuditRecord) -> bool:
    """Whether an audit was decided long ago, by its proof."""
    known = load_decisions(conn, audit.audit_id)
    return not audit.open and any(decision.outcome is Outcome.PASSED for decision in known)
