"""A renter's shards, each with its agreement and how its last audit went.

A shard is written as PROPOSED before its agreement leaves, becomes STORED with the farmer's countersignature,
and stays until the farmer has confirmed its deletion, so that nothing is paid for that nobody remembers.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Index,
    LargeBinary,
    Row,
    Select,
    Table,
    bindparam,
    insert,
    select,
    update,
)
from sqlmodel import Field, SQLModel

from node.agreement import Agreement
from node.audit import Outcome
from payments.types import Amount, NodeId, Seconds, Timestamp
from settlement.database import AmountColumn
from settlement.statements import Statement
from settlement.tables import table


class ShardState(Enum):
    """Where a shard stands."""

    PROPOSED = "proposed"
    """The agreement may have reached the farmer; there is no countersignature yet."""
    REBUILT = "rebuilt"
    """Countersigned, to replace another one; its file's manifest does not name it yet."""
    STORED = "stored"
    """Countersigned: audited and paid for."""
    DELETING = "deleting"
    """To be deleted; the farmer has not confirmed."""
    GONE = "gone"
    """Deleted, or its agreement is over."""


class ShardRow(SQLModel, table=True):
    """One shard of one segment at one farmer, with the terms of its agreement."""

    __tablename__ = "renter_shard"
    __table_args__ = (
        Index("renter_shard_by_outcome", "state", "outcome"),
        Index("renter_shard_by_end", "state", "end"),
        Index("renter_shard_by_farmer", "farmer", "state"),
    )

    agreement_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    file_id: bytes = Field(index=True, foreign_key="renter_file.file_id", sa_type=LargeBinary)
    segment: int
    shard: int
    state: str
    renter: bytes = Field(sa_type=LargeBinary)
    farmer: bytes = Field(sa_type=LargeBinary)
    shard_length: int = Field(sa_type=BigInteger)
    leaf_count: int = Field(sa_type=BigInteger)
    data_root: bytes = Field(sa_type=LargeBinary)
    step: int = Field(sa_type=AmountColumn)
    audit_interval: int = Field(sa_type=BigInteger)
    response_deadline: int = Field(sa_type=BigInteger)
    grace: int = Field(sa_type=BigInteger)
    download_price: int = Field(sa_type=AmountColumn)
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)
    renter_signature: bytes = Field(sa_type=LargeBinary)
    farmer_signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    audited: int = 0
    outcome: str | None = None
    checked_at: int | None = Field(default=None, sa_type=BigInteger)
    settled_at: int = Field(sa_type=BigInteger)
    given_up_at: int | None = Field(default=None, sa_type=BigInteger)
    """None as well where an early version gave it up."""


TABLES: Final[tuple[type[SQLModel], ...]] = (ShardRow,)
"""What this module keeps in a renter's money database."""

_SOME: Final = 500
"""Agreements in one question."""
_SHARDS: Final[Table] = table(ShardRow)
_countersign: Final = Statement(
    update(_SHARDS)
    .where(
        _SHARDS.c.agreement_id == bindparam("key", type_=_SHARDS.c.agreement_id.type),
        _SHARDS.c.state == ShardState.PROPOSED.value,
    )
    .values(state=bindparam("to"), farmer_signature=bindparam("signature"))
)


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """One shard and its agreement.

    audited: the last interval that had its audit. outcome, checked_at: its last audit's. paid_until:
    until when its storage is paid (its last passed audit, or the start). given_up_at: since when it is to be
    deleted; what is unpaid of its time until then is still owed.
    """

    agreement_id: bytes
    file_id: bytes
    segment: int
    index: int
    state: ShardState
    agreement: Agreement
    renter_signature: bytes
    paid_until: Timestamp
    farmer_signature: bytes | None = None
    audited: int = 0
    outcome: Outcome | None = None
    checked_at: Timestamp | None = None
    given_up_at: Timestamp | None = None

    @property
    def stored(self) -> bool:
        """Whether its farmer has signed for it, its manifest names it and nobody has given it up."""
        return self.state is ShardState.STORED

    @property
    def lost(self) -> bool:
        """Whether its farmer has failed an audit of it or refused a paid read: it earns nothing further."""
        return self.outcome is Outcome.FAILED


def insert_shards(conn: Connection, shards: Iterable[ShardRecord]) -> None:
    """Write new shards, before their agreements leave."""
    conn.execute(insert(_SHARDS), [_values(shard) for shard in shards])


def propose_shard(conn: Connection, shard: ShardRecord) -> None:
    """Write a shard before its agreement leaves; one that was refused may be proposed again as it was."""
    if load_shard(conn, shard.agreement_id) is None:
        insert_shards(conn, [shard])
    else:
        set_shard_state(conn, [shard.agreement_id], ShardState.PROPOSED)


def countersign_shards(
    conn: Connection, signatures: Mapping[bytes, bytes], state: ShardState = ShardState.STORED
) -> None:
    """Declare shards stored, or rebuilt: their farmers have signed for them. By agreement."""
    _countersign.many(
        conn,
        ({"key": name, "to": state.value, "signature": signature} for name, signature in signatures.items()),
    )


def set_shard_state(conn: Connection, agreement_ids: Iterable[bytes], state: ShardState) -> None:
    """Move shards on."""
    for agreement_id in agreement_ids:
        conn.execute(update(_SHARDS).where(_SHARDS.c.agreement_id == agreement_id).values(state=state.value))


def give_up_shards(conn: Connection, agreement_ids: Iterable[bytes], at: Timestamp) -> None:
    """Mark shards for deletion."""
    for agreement_id in agreement_ids:
        conn.execute(update(_SHARDS).where(_SHARDS.c.agreement_id == agreement_id).values(_given_up(at)))


def delete_later(conn: Connection, file_id: bytes, at: Timestamp) -> int:
    """Mark every shard of a file for deletion; return how many."""
    waiting = [one.value for one in (ShardState.PROPOSED, ShardState.REBUILT, ShardState.STORED)]
    return conn.execute(
        update(_SHARDS)
        .where(_SHARDS.c.file_id == file_id, _SHARDS.c.state.in_(waiting))
        .values(_given_up(at))
    ).rowcount


def record_check(conn: Connection, agreement_id: bytes, outcome: Outcome, at: Timestamp) -> None:
    """Note a shard's last outcome; a passed audit pays for the storage before it. What is lost stays lost."""
    record_checks(conn, [agreement_id], outcome, at)


def record_checks(
    conn: Connection, agreement_ids: Collection[bytes], outcome: Outcome, at: Timestamp
) -> None:
    """Note the same outcome of some hundreds of shards at most."""
    values: dict[str, Any] = {"outcome": outcome.value, "checked_at": at}
    if outcome is Outcome.PASSED:
        values["settled_at"] = at
    conn.execute(
        update(_SHARDS)
        .where(_SHARDS.c.agreement_id.in_(agreement_ids))
        .where(_SHARDS.c.outcome.is_distinct_from(Outcome.FAILED.value))
        .values(**values)
    )


def advance_paid_until(conn: Connection, agreement_id: bytes, seconds: Seconds) -> None:
    """Note that so much more of a shard's storage time is paid."""
    later = _SHARDS.c.settled_at + seconds
    conn.execute(update(_SHARDS).where(_SHARDS.c.agreement_id == agreement_id).values(settled_at=later))


def mark_audited(conn: Connection, agreement_ids: Collection[bytes], interval: int) -> None:
    """Note that the audits of this interval have been issued; an earlier interval changes nothing."""
    conn.execute(
        update(_SHARDS)
        .where(_SHARDS.c.agreement_id.in_(agreement_ids), _SHARDS.c.audited < interval)
        .values(audited=interval)
    )


def load_shard(conn: Connection, agreement_id: bytes) -> ShardRecord | None:
    """Return one shard."""
    found = _shards(conn, select(_SHARDS).where(_SHARDS.c.agreement_id == agreement_id))
    return found[0] if found else None


def load_shards(conn: Connection, file_id: bytes, segment: int | None = None) -> tuple[ShardRecord, ...]:
    """Return the shards of a file, or of one of its segments, in any state, by segment and index."""
    query = select(_SHARDS).where(_SHARDS.c.file_id == file_id)
    if segment is not None:
        query = query.where(_SHARDS.c.segment == segment)
    return _shards(
        conn, query.order_by(_SHARDS.c.segment, _SHARDS.c.shard, _SHARDS.c.start, _SHARDS.c.agreement_id)
    )


def delete_unfinished(conn: Connection, file_id: bytes, segments: Collection[int], at: Timestamp) -> int:
    """Mark every shard of a file for deletion but the stored ones of these segments; return how many."""
    kept = (_SHARDS.c.state == ShardState.STORED.value) & _SHARDS.c.segment.in_(segments)
    waiting = [ShardState.PROPOSED.value, ShardState.STORED.value]
    return conn.execute(
        update(_SHARDS)
        .where(_SHARDS.c.file_id == file_id, _SHARDS.c.state.in_(waiting), ~kept)
        .values(_given_up(at))
    ).rowcount


def load_audited_shards(
    conn: Connection, now: Timestamp, farmer: NodeId | None = None
) -> tuple[ShardRecord, ...]:
    """Return the shards that are to be audited: stored, not known to be lost, their agreements not over.

    Those of all farmers, or of one.
    """
    query = select(_SHARDS).where(
        _SHARDS.c.state == ShardState.STORED.value,
        _SHARDS.c.outcome.is_distinct_from(Outcome.FAILED.value),
        _SHARDS.c.end > now,
    )
    if farmer is not None:
        query = query.where(_SHARDS.c.farmer == farmer)
    return _shards(conn, query.order_by(_SHARDS.c.farmer, _SHARDS.c.file_id, _SHARDS.c.segment))


def load_farmer_shards(conn: Connection, farmer: NodeId) -> tuple[ShardRecord, ...]:
    """Return the shards at one farmer, in any state."""
    return _shards(conn, select(_SHARDS).where(_SHARDS.c.farmer == farmer))


def list_suspects(
    conn: Connection,
    now: Timestamp,
    ending_by: Timestamp,
    away: Collection[bytes],
    peers: Collection[NodeId],
) -> set[bytes]:
    """Return files with shards that may not count; found by indices, not by looking at every shard.

    Those that are lost, not audited and unpaid for too long, under agreements `away`, ending, with farmers
    that are no `peers`, half repaired.
    """
    column, names = _SHARDS.c, list(away)
    stored = column.state == ShardState.STORED.value
    unpaid = column.settled_at + column.audit_interval + column.grace < now
    suspicious = [
        column.state.in_([ShardState.PROPOSED.value, ShardState.REBUILT.value]),
        stored & (column.outcome == Outcome.FAILED.value),
        stored & (column.outcome == Outcome.UNCHECKED.value) & unpaid,
        stored & (column.end <= ending_by),
        *(stored & (column.farmer == farmer) for farmer in _list_farmers(conn) if farmer not in peers),
    ]
    files: set[bytes] = set()
    for suspicion in suspicious:
        files.update(conn.execute(select(column.file_id).where(suspicion).distinct()).scalars())
    for at in range(0, len(names), _SOME):
        some = column.agreement_id.in_(names[at : at + _SOME])  # with the state SQLite would go by that alone
        found = conn.execute(select(column.file_id, column.state).where(some))
        files.update(row.file_id for row in found if row.state == ShardState.STORED.value)
    return files


def _list_farmers(conn: Connection) -> Iterator[NodeId]:
    """Name all farmers that ever had a shard: one step down the index for each."""
    last: bytes | None = b""
    while last is not None:
        further = select(_SHARDS.c.farmer).where(_SHARDS.c.farmer > last).order_by(_SHARDS.c.farmer)
        last = conn.execute(further.limit(1)).scalar()
        if last is not None:
            yield NodeId(last)


def load_deletions(conn: Connection) -> tuple[ShardRecord, ...]:
    """Return the shards whose deletion a farmer has not confirmed yet."""
    return _shards(conn, select(_SHARDS).where(_SHARDS.c.state == ShardState.DELETING.value))


def shard_lengths(conn: Connection) -> dict[NodeId, tuple[int, ...]]:
    """Return the length of each shard that a farmer stores for us, by farmer."""
    query = select(_SHARDS.c.farmer, _SHARDS.c.shard_length).where(_SHARDS.c.state == ShardState.STORED.value)
    found: defaultdict[NodeId, list[int]] = defaultdict(list)
    for row in conn.execute(query):
        found[NodeId(row.farmer)].append(row.shard_length)
    return {farmer: tuple(lengths) for farmer, lengths in found.items()}


def _given_up(at: Timestamp) -> dict[str, Any]:
    return {"state": ShardState.DELETING.value, "given_up_at": at}


def _values(shard: ShardRecord) -> dict[str, Any]:
    terms = shard.agreement
    return {
        "agreement_id": shard.agreement_id,
        "file_id": shard.file_id,
        "segment": shard.segment,
        "shard": shard.index,
        "state": shard.state.value,
        "renter": terms.renter,
        "farmer": terms.farmer,
        "shard_length": terms.shard_length,
        "leaf_count": terms.leaf_count,
        "data_root": terms.data_root,
        "step": terms.step,
        "audit_interval": terms.audit_interval,
        "response_deadline": terms.response_deadline,
        "grace": terms.grace,
        "download_price": terms.download_price,
        "start": terms.start,
        "end": terms.end,
        "renter_signature": shard.renter_signature,
        "farmer_signature": shard.farmer_signature,
        "audited": shard.audited,
        "outcome": shard.outcome.value if shard.outcome else None,
        "checked_at": shard.checked_at,
        "settled_at": shard.paid_until,
        "given_up_at": shard.given_up_at,
    }


def _shards(conn: Connection, query: Select[Any]) -> tuple[ShardRecord, ...]:
    return tuple(map(_shard, conn.execute(query)))


def _shard(row: Row[Any]) -> ShardRecord:
    return ShardRecord(
        agreement_id=row.agreement_id,
        file_id=row.file_id,
        segment=row.segment,
        index=row.shard,
        state=ShardState(row.state),
        agreement=Agreement(
            renter=NodeId(row.renter),
            farmer=NodeId(row.farmer),
            shard_length=row.shard_length,
            leaf_count=row.leaf_count,
            data_root=row.data_root,
            step=Amount(row.step),
            audit_interval=Seconds(row.audit_interval),
            response_deadline=Seconds(row.response_deadline),
            grace=Seconds(row.grace),
            download_price=Amount(row.download_price),
            start=Timestamp(row.start),
            end=Timestamp(row.end),
        ),
        renter_signature=row.renter_signature,
        farmer_signature=row.farmer_signature,
        paid_until=Timestamp(row.settled_at),
        audited=row.audited,
        outcome=Outcome(row.outcome) if row.outcome else None,
        checked_at=None if row.checked_at is None else Timestamp(row.checked_at),
        given_up_at=None if row.given_up_at is None else Timestamp(row.given_up_at),
    )
