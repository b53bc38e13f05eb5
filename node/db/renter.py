"""What a renter remembers of farmers and money: its peers, its side of each channel, its audits.

The channels themselves stand in `settlement.tables`. A `Purse` says to whom a channel belongs and keeps the
newest unconditional voucher, so that it can be shown again. An `AuditRecord` is written before its voucher
leaves and is what a retry sends again: one audit raises the total once.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Row, Table, delete, insert, select, update
from sqlmodel import Field, SQLModel

from node.audit import Answer, Challenge, Item, Outcome, Try, Window
from payments.types import Amount, ChannelId, NodeId, Seconds, Timestamp, to_amount
from payments.vouchers import SignedVoucher, Voucher
from settlement.database import AmountColumn
from settlement.tables import table


class PeerRow(SQLModel, table=True):
    """A farmer: what it last said of itself (JSON), how many audits in a row it has not passed."""

    __tablename__ = "renter_peer"

    node: bytes = Field(primary_key=True, sa_type=LargeBinary)
    url: str
    info: str
    added_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    lapses: int = 0


class PurseRow(SQLModel, table=True):
    """The renter's own side of a channel."""

    __tablename__ = "renter_purse"

    channel_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    farmer: bytes = Field(index=True, sa_type=LargeBinary)
    life: int
    paid: int | None = Field(default=None, sa_type=AmountColumn)
    paid_signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    delivered: int = Field(default=0, sa_type=AmountColumn)
    presented: bool = False
    prepaid_seconds: int = Field(default=0, sa_type=BigInteger)
    prepaid_at: int = Field(default=0, sa_type=BigInteger)


class AuditRow(SQLModel, table=True):
    """One challenge, its conditional voucher, the tries to have it answered."""

    __tablename__ = "renter_audit"

    audit_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    channel_id: bytes = Field(index=True, sa_type=LargeBinary)
    step: int = Field(sa_type=AmountColumn)
    total: int = Field(sa_type=AmountColumn)
    condition: bytes = Field(sa_type=LargeBinary)
    signature: bytes = Field(sa_type=LargeBinary)
    opened_at: int = Field(sa_type=BigInteger)
    response_deadline: int
    end: int = Field(sa_type=BigInteger)
    tries: str = "[]"
    open: bool = Field(default=True, index=True)


class AuditItemRow(SQLModel, table=True):
    """One item of a challenge and its outcome."""

    __tablename__ = "renter_audit_item"

    audit_id: bytes = Field(primary_key=True, foreign_key="renter_audit.audit_id", sa_type=LargeBinary)
    position: int = Field(primary_key=True)
    agreement: bytes = Field(index=True, sa_type=LargeBinary)
    data_root: bytes = Field(sa_type=LargeBinary)
    leaf_count: int = Field(sa_type=BigInteger)
    indices: str
    outcome: str | None = None
    reason: str = ""
    decided_at: int | None = Field(default=None, sa_type=BigInteger)


TABLES: Final[tuple[type[SQLModel], ...]] = (PeerRow, PurseRow, AuditRow, AuditItemRow)
"""What this module keeps in a renter's money database."""

_PEERS: Final[Table] = table(PeerRow)
_PURSES: Final[Table] = table(PurseRow)
_AUDITS: Final[Table] = table(AuditRow)
_ITEMS: Final[Table] = table(AuditItemRow)


# Peers


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """A farmer as stored: the address its owner gave us, the JSON in which it last described itself."""

    node: NodeId
    url: str
    info: str
    added_at: Timestamp
    seen_at: Timestamp
    lapses: int = 0


def save_peer(conn: Connection, peer: PeerRecord) -> None:
    """Add a farmer, or refresh what it says of itself; when it was added and its lapses stay."""
    fresh = {"url": peer.url, "info": peer.info, "seen_at": peer.seen_at}
    if not conn.execute(update(_PEERS).where(_PEERS.c.node == peer.node).values(**fresh)).rowcount:
        first = {"node": peer.node, "added_at": peer.added_at, "lapses": peer.lapses}
        conn.execute(insert(_PEERS).values(**first, **fresh))


def load_peers(conn: Connection) -> tuple[PeerRecord, ...]:
    """Every farmer, oldest acquaintance first."""
    rows = conn.execute(select(_PEERS).order_by(_PEERS.c.added_at, _PEERS.c.node))
    return tuple(map(_peer, rows))


def load_peer(conn: Connection, node: NodeId) -> PeerRecord | None:
    """One farmer."""
    row = conn.execute(select(_PEERS).where(_PEERS.c.node == node)).one_or_none()
    return None if row is None else _peer(row)


def delete_peer(conn: Connection, node: NodeId) -> bool:
    """Forget a farmer; tell whether it was known."""
    return conn.execute(delete(_PEERS).where(_PEERS.c.node == node)).rowcount > 0


def count_lapse(conn: Connection, node: NodeId, *, passed: bool) -> None:
    """Count an audit that a farmer did not pass; one that it passed forgives those before it."""
    lapses = 0 if passed else _PEERS.c.lapses + 1
    conn.execute(update(_PEERS).where(_PEERS.c.node == node).values(lapses=lapses))


def _peer(row: Row[Any]) -> PeerRecord:
    return PeerRecord(
        node=NodeId(row.node),
        url=row.url,
        info=row.info,
        added_at=Timestamp(row.added_at),
        seen_at=Timestamp(row.seen_at),
        lapses=row.lapses,
    )


# Purses


@dataclass(frozen=True, slots=True)
class Purse:
    """A channel's owner and newest payment.

    life: which of the channels between the two this is (0, 1, 2...). paid: newest unconditional voucher.
    delivered: the total that the farmer is known to hold without condition. presented: whether the farmer
    has accepted the channel. prepaid_seconds: storage time paid ahead, as of prepaid_at.
    """

    channel_id: ChannelId
    farmer: NodeId
    life: int
    paid: SignedVoucher | None = None
    delivered: Amount = Amount(0)  # noqa: RUF009 - a NewType is no call at run time
    presented: bool = False
    prepaid_seconds: Seconds = Seconds(0)  # noqa: RUF009
    prepaid_at: Timestamp = Timestamp(0)  # noqa: RUF009

    @property
    def paid_total(self) -> Amount:
        """Total of the newest unconditional voucher, 0 before the first."""
        return self.paid.total if self.paid else to_amount(0)


def save_purse(conn: Connection, purse: Purse) -> None:
    """Write a purse, new or changed."""
    values = {
        "farmer": purse.farmer,
        "life": purse.life,
        "paid": purse.paid.total if purse.paid else None,
        "paid_signature": purse.paid.signature if purse.paid else None,
        "delivered": purse.delivered,
        "presented": purse.presented,
        "prepaid_seconds": purse.prepaid_seconds,
        "prepaid_at": purse.prepaid_at,
    }
    known = _PURSES.c.channel_id == purse.channel_id
    if not conn.execute(update(_PURSES).where(known).values(**values)).rowcount:
        conn.execute(insert(_PURSES).values(channel_id=purse.channel_id, **values))


def load_purse(conn: Connection, channel_id: ChannelId) -> Purse | None:
    """One channel's purse."""
    row = conn.execute(select(_PURSES).where(_PURSES.c.channel_id == channel_id)).one_or_none()
    return None if row is None else _purse(row)


def load_purses(conn: Connection, farmer: NodeId | None = None) -> tuple[Purse, ...]:
    """The purses of all channels, or of those to one farmer; by farmer, then by life."""
    query = select(_PURSES).order_by(_PURSES.c.farmer, _PURSES.c.life)
    if farmer is not None:
        query = query.where(_PURSES.c.farmer == farmer)
    return tuple(map(_purse, conn.execute(query)))


def _purse(row: Row[Any]) -> Purse:
    paid = None
    if row.paid is not None:
        paid = SignedVoucher(Voucher(ChannelId(row.channel_id), row.paid), row.paid_signature)
    return Purse(
        channel_id=ChannelId(row.channel_id),
        farmer=NodeId(row.farmer),
        life=row.life,
        paid=paid,
        delivered=row.delivered,
        presented=row.presented,
        prepaid_seconds=Seconds(row.prepaid_seconds),
        prepaid_at=Timestamp(row.prepaid_at),
    )


# Audits


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One challenge, sent or about to be: `voucher` is its newest conditional one, `step` its worth."""

    channel_id: ChannelId
    challenge: Challenge
    voucher: SignedVoucher
    step: Amount
    window: Window
    tries: tuple[Try, ...] = ()
    open: bool = True

    @property
    def audit_id(self) -> bytes:
        """32 bytes, never used twice."""
        return self.challenge.audit_id


@dataclass(frozen=True, slots=True)
class Decision:
    """What an audit came to for one agreement, why, and when that was known."""

    agreement: bytes
    outcome: Outcome
    reason: str
    at: Timestamp


def insert_audit(conn: Connection, audit: AuditRecord) -> None:
    """Write a new audit with its items. An audit id that exists is an IntegrityError: none is used twice."""
    conn.execute(
        insert(_AUDITS).values(
            audit_id=audit.audit_id,
            channel_id=audit.channel_id,
            step=audit.step,
            condition=audit.voucher.voucher.condition,
            opened_at=audit.window.opened_at,
            response_deadline=audit.window.response_deadline,
            end=audit.window.end,
            **_changing(audit),
        )
    )
    rows = [
        {
            "audit_id": audit.audit_id,
            "position": position,
            "agreement": item.agreement,
            "data_root": item.data_root,
            "leaf_count": item.leaf_count,
            "indices": json.dumps(item.indices),
        }
        for position, item in enumerate(audit.challenge.items)
    ]
    conn.execute(insert(_ITEMS), rows)


def update_audit(conn: Connection, audit: AuditRecord) -> None:
    """Write what changes in an audit: its voucher, its tries, whether it is open."""
    conn.execute(update(_AUDITS).where(_AUDITS.c.audit_id == audit.audit_id).values(**_changing(audit)))


def decide_items(conn: Connection, audit_id: bytes, decisions: Iterable[Decision]) -> None:
    """Write outcomes of items. A proof that comes late replaces another outcome; nothing replaces PASSED."""
    for decision in decisions:
        conn.execute(
            update(_ITEMS)
            .where(_ITEMS.c.audit_id == audit_id, _ITEMS.c.agreement == decision.agreement)
            .where((_ITEMS.c.outcome.is_(None)) | (_ITEMS.c.outcome != Outcome.PASSED.value))
            .values(outcome=decision.outcome.value, reason=decision.reason, decided_at=decision.at)
        )


def load_audit(conn: Connection, audit_id: bytes) -> AuditRecord | None:
    """One audit."""
    found = _load_audits(conn, select(_AUDITS).where(_AUDITS.c.audit_id == audit_id))
    return found[0] if found else None


def load_open_audits(conn: Connection, channel_id: ChannelId | None = None) -> tuple[AuditRecord, ...]:
    """The audits that wait for an answer, oldest first; at most one a channel."""
    query = select(_AUDITS).where(_AUDITS.c.open).order_by(_AUDITS.c.opened_at, _AUDITS.c.audit_id)
    if channel_id is not None:
        query = query.where(_AUDITS.c.channel_id == channel_id)
    return _load_audits(conn, query)


def load_decisions(conn: Connection, audit_id: bytes) -> tuple[Decision, ...]:
    """The outcomes known of an audit's items."""
    query = select(_ITEMS).where(_ITEMS.c.audit_id == audit_id, _ITEMS.c.outcome.is_not(None))
    return tuple(
        Decision(row.agreement, Outcome(row.outcome), row.reason, Timestamp(row.decided_at))
        for row in conn.execute(query.order_by(_ITEMS.c.position))
    )


def count_outcomes(conn: Connection) -> dict[bytes, dict[Outcome, int]]:
    """How many audits of each agreement came to which outcome."""
    counts: dict[bytes, dict[Outcome, int]] = {}
    query = select(_ITEMS.c.agreement, _ITEMS.c.outcome).where(_ITEMS.c.outcome.is_not(None))
    for row in conn.execute(query):
        of_agreement = counts.setdefault(row.agreement, {})
        outcome = Outcome(row.outcome)
        of_agreement[outcome] = of_agreement.get(outcome, 0) + 1
    return counts


def _changing(audit: AuditRecord) -> dict[str, Any]:
    return {
        "total": audit.voucher.total,
        "signature": audit.voucher.signature,
        "tries": json.dumps([[attempt.at, attempt.answer.name] for attempt in audit.tries]),
        "open": audit.open,
    }


def _load_audits(conn: Connection, query: Any) -> tuple[AuditRecord, ...]:  # noqa: ANN401 - Select's type is long
    rows = conn.execute(query).all()
    return tuple(_audit(row, _items(conn, row.audit_id)) for row in rows)


def _items(conn: Connection, audit_id: bytes) -> tuple[Item, ...]:
    rows = conn.execute(select(_ITEMS).where(_ITEMS.c.audit_id == audit_id).order_by(_ITEMS.c.position))
    return tuple(
        Item(row.agreement, row.data_root, row.leaf_count, tuple(json.loads(row.indices))) for row in rows
    )


def _audit(row: Row[Any], items: tuple[Item, ...]) -> AuditRecord:
    voucher = Voucher(ChannelId(row.channel_id), row.total, row.condition)
    return AuditRecord(
        channel_id=ChannelId(row.channel_id),
        challenge=Challenge(row.audit_id, items),
        voucher=SignedVoucher(voucher, row.signature),
        step=row.step,
        window=Window(row.opened_at, row.response_deadline, row.end),
        tries=tuple(Try(at, Answer[name]) for at, name in json.loads(row.tries)),
        open=row.open,
    )
