"""A farmer's agreements and the renters behind them: what is promised, stored, over, and what it adds up to.

Sums (bytes, agreements, storage rate) are kept per renter beside the agreements and change in the same
transaction, so that capacity and exposure need no scan.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Index,
    LargeBinary,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlmodel import Field, SQLModel

from node.agreement import Agreement
from node.messages import AgreementState
from payments.prices import step_rate
from payments.types import Amount, NodeId, Seconds, Timestamp, to_amount
from settlement.database import AmountColumn
from settlement.statements import Statement
from settlement.tables import table

BATCH: Final = 500
"""Agreements in one list at most."""


@dataclass(frozen=True, slots=True)
class FarmerAgreement:
    """An agreement as the farmer keeps it.

    `id` is its EIP-712 hash. `since` is when it came into its state, `upload_by` until when a proposal waits
    for its shard. `farmer_signature` exists from STORED on. Only PROPOSED and STORED hold room on the disk;
    EXPIRED ended or its shard never came; DELETED was by the renter's wish, or because it did not pay; LOST
    is what its farmer no longer has, or no longer as it was.
    """

    id: bytes
    agreement: Agreement
    renter_signature: bytes
    state: AgreementState
    since: Timestamp
    upload_by: Timestamp
    farmer_signature: bytes | None = None

    @property
    def storage_rate(self) -> Amount:
        """Base units a month it brings when every audit is paid."""
        return step_rate(self.agreement.step, self.agreement.audit_interval)


@dataclass(frozen=True, slots=True)
class RenterSums:
    """One renter's sums. `over_since`: since when it has owed more than the limit, 0 if it does not.

    `longest_interval`: of all agreements it ever had, seconds.
    """

    renter: NodeId
    stored: int = 0
    stored_bytes: int = 0
    reserved_bytes: int = 0
    storage_rate: Amount = Amount(0)  # noqa: RUF009 - a NewType is no call at run time
    over_since: Timestamp = Timestamp(0)  # noqa: RUF009 - a NewType is no call at run time
    longest_interval: Seconds = Seconds(0)  # noqa: RUF009 - a NewType is no call at run time


class FarmerAgreementRow(SQLModel, table=True):
    """One FarmerAgreement."""

    __tablename__ = "farmer_agreement"
    __table_args__ = (
        Index("farmer_agreement_by_renter", "renter", "state"),
        Index("farmer_agreement_by_end", "state", "end_at"),
        Index("farmer_agreement_by_upload", "state", "upload_by"),
        Index("farmer_agreement_by_root", "renter", "data_root"),
    )

    id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    renter: bytes = Field(sa_type=LargeBinary)
    farmer: bytes = Field(sa_type=LargeBinary)
    state: str
    since: int = Field(sa_type=BigInteger)
    upload_by: int = Field(sa_type=BigInteger)
    shard_length: int = Field(sa_type=BigInteger)
    leaf_count: int = Field(sa_type=BigInteger)
    data_root: bytes = Field(sa_type=LargeBinary)
    step: int = Field(sa_type=AmountColumn)
    audit_interval: int = Field(sa_type=BigInteger)
    response_deadline: int = Field(sa_type=BigInteger)
    grace: int = Field(sa_type=BigInteger)
    download_price: int = Field(sa_type=AmountColumn)
    start_at: int = Field(sa_type=BigInteger)
    end_at: int = Field(sa_type=BigInteger)
    renter_signature: bytes = Field(sa_type=LargeBinary)
    farmer_signature: bytes | None = Field(default=None, sa_type=LargeBinary)


class RenterSumsRow(SQLModel, table=True):
    """One RenterSums."""

    __tablename__ = "farmer_account"

    renter: bytes = Field(sa_type=LargeBinary, primary_key=True)
    stored: int = Field(sa_type=BigInteger)
    stored_bytes: int = Field(sa_type=BigInteger)
    reserved_bytes: int = Field(sa_type=BigInteger)
    storage_rate: int = Field(sa_type=AmountColumn)
    over_since: int = Field(sa_type=BigInteger)
    longest_interval: int = Field(sa_type=BigInteger)


_AGREEMENT: Final = table(FarmerAgreementRow)
_SUMS: Final = table(RenterSumsRow)

_ENDED: Final = (AgreementState.EXPIRED.value, AgreementState.DELETED.value)
_UNSIGNED: Final = (_AGREEMENT.c.state.in_(_ENDED), _AGREEMENT.c.farmer_signature.is_(None))
_AGREEMENT_KEY: Final = _AGREEMENT.c.id == bindparam("key", type_=_AGREEMENT.c.id.type)
_AGREEMENT_NAMES: Final = [column.name for column in _AGREEMENT.c]
_CHANGING: Final = ("renter_signature", "state", "since", "upload_by", "farmer_signature")
_load: Final = Statement(select(*_AGREEMENT.c).where(_AGREEMENT_KEY))
_insert: Final = Statement(insert(_AGREEMENT))
_update: Final = Statement(
    update(_AGREEMENT).where(_AGREEMENT_KEY).values({name: bindparam(name) for name in _CHANGING})
)
_list_of_renter: Final = Statement(
    select(*_AGREEMENT.c)
    .where(
        _AGREEMENT.c.state == bindparam("state", type_=_AGREEMENT.c.state.type),
        _AGREEMENT.c.renter == bindparam("renter", type_=_AGREEMENT.c.renter.type),
    )
    .limit(bindparam("most", type_=BigInteger))
)
_list_same: Final = Statement(
    select(*_AGREEMENT.c).where(
        _AGREEMENT.c.renter == bindparam("renter", type_=_AGREEMENT.c.renter.type),
        _AGREEMENT.c.data_root == bindparam("data_root", type_=_AGREEMENT.c.data_root.type),
        or_(
            _AGREEMENT.c.state == AgreementState.STORED.value,
            _AGREEMENT.c.state == AgreementState.PROPOSED.value,
        ),
    )
)
_SUMS_KEY: Final = _SUMS.c.renter == bindparam("key", type_=_SUMS.c.renter.type)
_SUMS_CHANGING: Final = [column.name for column in _SUMS.c if column.name != "renter"]
_load_sums: Final = Statement(select(*_SUMS.c).where(_SUMS_KEY))
_load_sums_of: Final = Statement(
    select(*_SUMS.c).where(_SUMS.c.renter.in_(bindparam("renters", expanding=True)))
)
_proposed: Final = select(func.count()).where(
    _AGREEMENT.c.state == bindparam("state", type_=_AGREEMENT.c.state.type)
)
_count: Final = Statement(select(func.sum(_SUMS.c.stored), _proposed.scalar_subquery()))
_sum_bytes: Final = Statement(select(func.sum(_SUMS.c.stored_bytes), func.sum(_SUMS.c.reserved_bytes)))
_insert_sums: Final = Statement(insert(_SUMS))
_update_sums: Final = Statement(
    update(_SUMS).where(_SUMS_KEY).values({name: bindparam(name) for name in _SUMS_CHANGING})
)

TABLES: Final[tuple[type[SQLModel], ...]] = (FarmerAgreementRow, RenterSumsRow)


def load_agreement(conn: Connection, agreement: bytes) -> FarmerAgreement | None:
    """The agreement of this id, in whatever state."""
    rows = _load(conn, key=agreement)
    return _read(rows[0]) if rows else None


def load_agreements(conn: Connection, ids: Iterable[bytes]) -> dict[bytes, FarmerAgreement]:
    """Those of these agreements that exist, by id."""
    found = {name: load_agreement(conn, name) for name in ids}
    return {name: record for name, record in found.items() if record is not None}


def save_agreement(conn: Connection, record: FarmerAgreement) -> RenterSums:
    """Insert an agreement or write its new state, and bring its renter's sums up to date; return them.

    Its terms never change. Saving twice is harmless.
    """
    before = load_agreement(conn, record.id)
    values = _write(record)
    if before is None:
        _insert(conn, **values)
    else:
        _update(conn, key=record.id, **values)
    sums = load_sums(conn, record.agreement.renter)
    changed = _added(sums if before is None else _added(sums, before, -1), record, 1)
    save_sums(conn, changed)
    return changed


def list_agreements(
    conn: Connection, *, state: AgreementState, renter: NodeId | None = None, limit: int = BATCH
) -> list[FarmerAgreement]:
    """At most `limit` agreements in one state, of one renter or of all."""
    if renter is not None:
        return [_read(row) for row in _list_of_renter(conn, state=state.value, renter=renter, most=limit)]
    query = select(_AGREEMENT).where(_AGREEMENT.c.state == state.value).limit(limit)
    return [_read(tuple(row)) for row in conn.execute(query)]


def list_same_shard(conn: Connection, renter: NodeId, data_root: bytes) -> list[FarmerAgreement]:
    """Return a renter's agreements about the same bytes that hold room on the disk, stored ones first."""
    found = [_read(row) for row in _list_same(conn, renter=renter, data_root=data_root)]
    return sorted(found, key=lambda one: one.state is not AgreementState.STORED)


def count_unsigned(conn: Connection, renter: NodeId, most: int) -> int:
    """Count a renter's ended agreements that never had a shard, up to `most`."""
    found = select(_AGREEMENT.c.id).where(_AGREEMENT.c.renter == renter, *_UNSIGNED).limit(most)
    return int(conn.execute(select(func.count()).select_from(found.subquery())).scalar_one())


def list_forgettable(conn: Connection, unsigned: Timestamp, signed: Timestamp) -> list[bytes]:
    """At most BATCH agreements that ended before these times: without a shard ever, and with one."""
    column = _AGREEMENT.c
    over = select(column.id).where(column.state.in_(_ENDED), column.since < unsigned)
    old = or_(column.farmer_signature.is_(None), column.since < signed)
    return [row.id for row in conn.execute(over.where(old).limit(BATCH))]


def forget_agreements(conn: Connection, ids: Collection[bytes]) -> None:
    """Remove ended agreements from the books."""
    gone = _AGREEMENT.c.id.in_(list(ids)), _AGREEMENT.c.state.in_(_ENDED)
    conn.execute(delete(_AGREEMENT).where(*gone))


def list_overdue(conn: Connection, now: Timestamp) -> list[FarmerAgreement]:
    """At most BATCH agreements that have ended, and proposals whose shard did not come in time."""
    column = _AGREEMENT.c
    ended = select(_AGREEMENT).where(column.state == AgreementState.STORED.value, column.end_at <= now)
    abandoned = select(_AGREEMENT).where(
        column.state == AgreementState.PROPOSED.value, column.upload_by <= now
    )
    rows = [*conn.execute(ended.limit(BATCH)), *conn.execute(abandoned.limit(BATCH))]
    return [_read(tuple(row)) for row in rows[:BATCH]]


def stored_shards(conn: Connection) -> Iterator[bytes]:
    """The ids of all stored agreements: the shards that must be on disk."""
    query = select(_AGREEMENT.c.id).where(_AGREEMENT.c.state == AgreementState.STORED.value)
    for row in conn.execute(query):
        yield row.id


def wait_for_shards(conn: Connection, until: Timestamp) -> None:
    """Let every proposal wait for its shard at least until then."""
    waiting = (_AGREEMENT.c.state == AgreementState.PROPOSED.value) & (_AGREEMENT.c.upload_by < until)
    conn.execute(update(_AGREEMENT).where(waiting).values(upload_by=until))


def load_sums(conn: Connection, renter: NodeId) -> RenterSums:
    """A renter's sums, all zero when it is new."""
    rows = _load_sums(conn, key=renter)
    return _read_sums(rows[0]) if rows else RenterSums(renter)


def load_sums_of(conn: Connection, renters: Collection[NodeId]) -> dict[NodeId, RenterSums]:
    """The sums of these renters (some hundreds at most), all zero for those that are new."""
    if len(renters) == 1:
        return {renter: load_sums(conn, renter) for renter in renters}
    known = [_read_sums(row) for row in _load_sums_of.among(conn, renters)]
    return {renter: RenterSums(renter) for renter in renters} | {one.renter: one for one in known}


def list_sums(conn: Connection) -> list[RenterSums]:
    """All renters that ever had an agreement."""
    return [_read_sums(tuple(row)) for row in conn.execute(select(_SUMS))]


def save_sums(conn: Connection, sums: RenterSums) -> None:
    """Insert or replace a renter's sums."""
    values = {
        "stored": sums.stored,
        "stored_bytes": sums.stored_bytes,
        "reserved_bytes": sums.reserved_bytes,
        "storage_rate": sums.storage_rate,
        "over_since": sums.over_since,
        "longest_interval": sums.longest_interval,
    }
    if _load_sums(conn, key=sums.renter):
        _update_sums(conn, key=sums.renter, **values)
    else:
        _insert_sums(conn, renter=sums.renter, **values)


def used_bytes(conn: Connection) -> tuple[int, int]:
    """Bytes stored and bytes reserved, over all renters."""
    ((stored, reserved),) = _sum_bytes(conn)
    return int(stored or 0), int(reserved or 0)


def count_shards(conn: Connection) -> tuple[int, int]:
    """Shards stored and shards promised, over all renters."""
    ((stored, promised),) = _count(conn, state=AgreementState.PROPOSED.value)
    return int(stored or 0), int(promised)


def count_lost(conn: Connection, since: Timestamp = Timestamp(0)) -> int:  # noqa: B008 - a NewType
    """Agreements whose shard was found to be lost since then."""
    lost = (_AGREEMENT.c.state == AgreementState.LOST.value) & (_AGREEMENT.c.since >= since)
    return int(conn.execute(select(func.count()).where(lost)).scalar_one())


def _added(sums: RenterSums, record: FarmerAgreement, sign: int) -> RenterSums:
    length = sign * record.agreement.shard_length
    match record.state:
        case AgreementState.PROPOSED:
            return replace(sums, reserved_bytes=sums.reserved_bytes + length)
        case AgreementState.STORED:
            return replace(
                sums,
                stored=sums.stored + sign,
                stored_bytes=sums.stored_bytes + length,
                storage_rate=to_amount(sums.storage_rate + sign * record.storage_rate),
                longest_interval=Seconds(max(sums.longest_interval, record.agreement.audit_interval)),
            )
        case _:
            return sums


def _write(record: FarmerAgreement) -> dict[str, Any]:
    terms = record.agreement
    return {
        "id": record.id,
        "renter": terms.renter,
        "farmer": terms.farmer,
        "state": record.state.value,
        "since": record.since,
        "upload_by": record.upload_by,
        "shard_length": terms.shard_length,
        "leaf_count": terms.leaf_count,
        "data_root": terms.data_root,
        "step": terms.step,
        "audit_interval": terms.audit_interval,
        "response_deadline": terms.response_deadline,
        "grace": terms.grace,
        "download_price": terms.download_price,
        "start_at": terms.start,
        "end_at": terms.end,
        "renter_signature": record.renter_signature,
        "farmer_signature": record.farmer_signature,
    }


def _read(values: Sequence[Any]) -> FarmerAgreement:
    row = dict(zip(_AGREEMENT_NAMES, values, strict=True))
    terms = Agreement(
        renter=NodeId(row["renter"]),
        farmer=NodeId(row["farmer"]),
        shard_length=row["shard_length"],
        leaf_count=row["leaf_count"],
        data_root=row["data_root"],
        step=row["step"],
        audit_interval=Seconds(row["audit_interval"]),
        response_deadline=Seconds(row["response_deadline"]),
        grace=Seconds(row["grace"]),
        download_price=row["download_price"],
        start=Timestamp(row["start_at"]),
        end=Timestamp(row["end_at"]),
    )
    return FarmerAgreement(
        id=row["id"],
        agreement=terms,
        renter_signature=row["renter_signature"],
        state=AgreementState(row["state"]),
        since=Timestamp(row["since"]),
        upload_by=Timestamp(row["upload_by"]),
        farmer_signature=row["farmer_signature"],
    )


def _read_sums(row: tuple[Any, ...]) -> RenterSums:
    renter, stored, stored_bytes, reserved_bytes, storage_rate, over_since, longest_interval = row
    return RenterSums(
        renter=NodeId(renter),
        stored=stored,
        stored_bytes=stored_bytes,
        reserved_bytes=reserved_bytes,
        storage_rate=storage_rate,
        over_since=Timestamp(over_since),
        longest_interval=Seconds(longest_interval),
    )
