"""Storage time that is not paid: what we agree to owe a farmer for audits we have missed."""

from typing import Final

from node.audit import Outcome
from node.db import Connection
from node.db.renter_purses import Purse
from node.db.renter_shards import ShardRecord, advance_paid_until, load_farmer_shards
from node.renter.safety import Prepaid
from payments.prices import step_rate, storage_price
from payments.types import Amount, NodeId, Seconds, Timestamp

_OWED_AFTER: Final = (None, Outcome.PASSED)
"""Last outcomes of a shard after which missed audits were missed by us."""

Unpaid = list[tuple[ShardRecord, Seconds, Amount]]
"""Shards at one farmer, the seconds of each that are not paid, and what those cost."""


def prepaid_of(purse: Purse) -> Prepaid:
    """Return what was paid ahead through a channel."""
    return Prepaid(purse.prepaid_seconds, purse.prepaid_at)


def unpaid_time(conn: Connection, farmer: NodeId, prepaid: Prepaid, now: Timestamp) -> Unpaid:
    """Return each shard at this farmer with the seconds that are not paid yet and what they cost.

    Those that were given up are owed for until then: the farmer remembers that as well. Time is owed
    that no audit of ours has asked about. Whoever left our last audit unanswered, whatever its reason, has
    that time to prove, else it could refuse all audits and live on arrears.
    """
    found = []
    for shard in load_farmer_shards(conn, farmer):
        terms = shard.agreement
        until = _owed_until(shard, now)
        if until is None or shard.outcome not in _OWED_AFTER:
            continue
        elapsed = min(until, terms.end) - shard.paid_until - prepaid.left(shard.paid_until)
        seconds = Seconds(max(0, elapsed))
        if not (shard.stored or seconds):
            continue
        rate = step_rate(terms.step, terms.audit_interval)
        found.append((shard, seconds, storage_price(rate, seconds)))
    return found


def _owed_until(shard: ShardRecord, now: Timestamp) -> Timestamp | None:
    """Until when a shard was ours to pay for; None if its farmer never signed for it."""
    if shard.stored:
        return now
    return shard.given_up_at if shard.farmer_signature is not None else None


def total_due(owed: Unpaid) -> int:
    """What all of that costs."""
    return sum(cost for _, _, cost in owed)


def book_as_paid(conn: Connection, owed: Unpaid, part: int) -> None:
    """Note that so much of what is due is paid, of each shard's time in proportion."""
    due = total_due(owed)
    for shard, seconds, _ in owed:
        if due:
            advance_paid_until(conn, shard.agreement_id, Seconds(seconds * part // due))
