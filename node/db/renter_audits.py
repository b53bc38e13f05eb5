"""A renter's audits: challenges with their conditional vouchers, tries to have them answered, outcomes.

An `AuditRecord` is written before its voucher leaves and is what a retry sends again: one audit raises the
total once.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Row, Table, bindparam, insert, select, update
from sqlmodel import Field, SQLModel

from node.audit import Answer, Challenge, Item, Outcome, Try, Window
from payments.types import Amount, ChannelId, Timestamp
from payments.vouchers import SignedVoucher, Voucher
from settlement.database import AmountColumn
from settlement.statements import Statement
from settlement.tables import table


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
    response_deadline: int = Field(sa_type=BigInteger)
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


TABLES: Final[tuple[type[SQLModel], ...]] = (AuditRow, AuditItemRow)
"""What this module keeps in a renter's money database."""

_AUDITS: Final[Table] = table(AuditRow)
_ITEMS: Final[Table] = table(AuditItemRow)
_load_items: Final = Statement(
    select(_ITEMS.c.agreement, _ITEMS.c.data_root, _ITEMS.c.leaf_count, _ITEMS.c.indices)
    .where(_ITEMS.c.audit_id == bindparam("key", type_=_ITEMS.c.audit_id.type))
    .order_by(_ITEMS.c.position)
)
_OF_CHANNEL: Final = _AUDITS.c.channel_id == bindparam("key", type_=_AUDITS.c.channel_id.type)
_find_open: Final = Statement(select(_AUDITS.c.audit_id).where(_AUDITS.c.open, _OF_CHANNEL))


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


def group_decisions(decisions: Iterable[Decision]) -> dict[tuple[Outcome, str, Timestamp], list[bytes]]:
    """Group agreements by what was decided, why and when: nearly always all of a challenge are one group."""
    groups: defaultdict[tuple[Outcome, str, Timestamp], list[bytes]] = defaultdict(list)
    for decision in decisions:
        groups[decision.outcome, decision.reason, decision.at].append(decision.agreement)
    return groups


def decide_items(conn: Connection, audit_id: bytes, decisions: Iterable[Decision]) -> None:
    """Write outcomes of items. A proof that comes late replaces another outcome; nothing replaces PASSED."""
    for (outcome, reason, at), agreements in group_decisions(decisions).items():
        conn.execute(
            update(_ITEMS)
            .where(_ITEMS.c.audit_id == audit_id, _ITEMS.c.agreement.in_(agreements))
            .where((_ITEMS.c.outcome.is_(None)) | (_ITEMS.c.outcome != Outcome.PASSED.value))
            .values(outcome=outcome.value, reason=reason, decided_at=at)
        )


def load_audit(conn: Connection, audit_id: bytes) -> AuditRecord | None:
    """One audit."""
    found = _load_audits(conn, select(_AUDITS).where(_AUDITS.c.audit_id == audit_id))
    return found[0] if found else None


def load_open_audits(conn: Connection, channel_id: ChannelId | None = None) -> tuple[AuditRecord, ...]:
    """The audits that wait for an answer, oldest first; at most one a channel."""
    query = select(_AUDITS).where(_AUDITS.c.open).order_by(_AUDITS.c.opened_at, _AUDITS.c.audit_id)
    if channel_id is not None:
        if not _find_open(conn, key=channel_id):  # as nearly always, for every step of a read
            return ()
        query = query.where(_AUDITS.c.channel_id == channel_id)
    return _load_audits(conn, query)


def find_audit(conn: Connection, channel_id: ChannelId, total: Amount) -> AuditRecord | None:
    """The newest audit of a channel whose conditional voucher is of this total."""
    query = select(_AUDITS).where(_AUDITS.c.channel_id == channel_id, _AUDITS.c.total == total)
    found = _load_audits(conn, query.order_by(_AUDITS.c.opened_at.desc()).limit(1))
    return found[0] if found else None


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
    return tuple(
        Item(agreement, data_root, leaf_count, tuple(json.loads(indices)))
        for agreement, data_root, leaf_count, indices in _load_items(conn, key=audit_id)
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
