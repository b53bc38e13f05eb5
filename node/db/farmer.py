"""A farmer's books on its channels: who pays through which, what proves it, which reads it bought.

One row a channel. The proof of the newest proven voucher lies in a table of its own, since it is large and
payments do not touch it. The chain's side of a channel (deposit, claims, closing) belongs to `settlement`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, LargeBinary, bindparam, delete, insert, select, update
from sqlmodel import Field, SQLModel

from node.audit import Challenge, Proof
from node.db import blobs, farmer_agreements, farmer_latency, farmer_shelf, restoration
from payments.channel import Channel
from payments.ledger import Earnings
from payments.types import ZERO32, Amount, ChannelId, NodeId, Timestamp
from payments.vouchers import SignedVoucher, Voucher
from settlement.database import AmountColumn, Database
from settlement.statements import Statement
from settlement.tables import CHANNEL_COLUMNS, CHANNELS, read_channel, table
from settlement.tables import TABLES as CHAIN_TABLES

_AT_ONCE: Final = 500
KEPT_PURCHASES: Final = 64
"""Reads of one channel that may be asked for again with the voucher that paid them."""


@dataclass(frozen=True, slots=True)
class Book:
    """One channel as its payee sees it.

    `renter` is the node its signer speaks for. `unclaimed_since` is when the oldest part of what is not yet
    claimed was earned, 0 if nothing waits.
    """

    channel_id: ChannelId
    renter: NodeId
    accepted_at: Timestamp
    earnings: Earnings
    unclaimed_since: Timestamp = Timestamp(0)  # noqa: RUF009 - a NewType is no call at run time


@dataclass(frozen=True, slots=True)
class Held:
    """The newest proven voucher's challenge and the proof that makes it good."""

    challenge: Challenge
    proof: Proof


@dataclass(frozen=True, slots=True)
class Purchase:
    """A read and the total of the voucher that paid it."""

    total: Amount
    agreement: bytes
    offset: int
    length: int


class FarmerBookRow(SQLModel, table=True):
    """One Book."""

    __tablename__ = "farmer_book"

    channel_id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    renter: bytes = Field(sa_type=LargeBinary, index=True)
    accepted_at: int = Field(sa_type=BigInteger)
    paid_total: int | None = Field(default=None, sa_type=AmountColumn)
    paid_signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    proven_total: int | None = Field(default=None, sa_type=AmountColumn)
    proven_condition: bytes | None = Field(default=None, sa_type=LargeBinary)
    proven_signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    proven_at: int = Field(sa_type=BigInteger)
    proven_rate: int = Field(sa_type=AmountColumn)
    prepaid: int = Field(sa_type=AmountColumn)
    last_paid_audit: int = Field(sa_type=BigInteger)
    claimed: int = Field(sa_type=AmountColumn)
    unclaimed_since: int = Field(sa_type=BigInteger)
    revocable: bool
    arrears: int | None = Field(default=None, sa_type=AmountColumn)
    """None where an early version wrote it."""
    arrears_rate: int | None = Field(default=None, sa_type=AmountColumn)
    retired_at: int | None = Field(default=None, sa_type=BigInteger)
    """Since when it counts no more in what its renter owes: its channel was closed many channels ago."""


class FarmerProofRow(SQLModel, table=True):
    """One Held."""

    __tablename__ = "farmer_proof"

    channel_id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    challenge: bytes = Field(sa_type=LargeBinary)
    proof: bytes = Field(sa_type=LargeBinary)


class FarmerPurchaseRow(SQLModel, table=True):
    """One Purchase."""

    __tablename__ = "farmer_purchase"

    channel_id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    total: int = Field(sa_type=AmountColumn, primary_key=True)
    agreement: bytes = Field(sa_type=LargeBinary)
    start: int = Field(sa_type=BigInteger)
    length: int = Field(sa_type=BigInteger)


class FarmerSequenceRow(SQLModel, table=True):
    """A number that only rises, by name: the sequence of quotes and records."""

    __tablename__ = "farmer_sequence"

    name: str = Field(primary_key=True)
    value: int = Field(sa_type=BigInteger)


_BOOK: Final = table(FarmerBookRow)
_PROOF: Final = table(FarmerProofRow)
_PURCHASE: Final = table(FarmerPurchaseRow)
_SEQUENCE: Final = table(FarmerSequenceRow)

TABLES: Final[tuple[type[SQLModel], ...]] = (
    FarmerBookRow,
    FarmerProofRow,
    FarmerPurchaseRow,
    FarmerSequenceRow,
    *farmer_agreements.TABLES,
    *farmer_shelf.TABLES,
    *restoration.TABLES,
    *farmer_latency.TABLES,
)
"""Everything a farmer keeps in its money database beside settlement's tables."""


_KEY: Final = _BOOK.c.channel_id == bindparam("key", type_=_BOOK.c.channel_id.type)
_COLUMNS: Final = [column for column in _BOOK.c if column.name != "retired_at"]
_ACTIVE: Final = _BOOK.c.retired_at.is_(None)
_NAMES: Final = [column.name for column in _COLUMNS]
_load: Final = Statement(select(*_COLUMNS).where(_KEY))
_RENTER: Final = _BOOK.c.renter == bindparam("key", type_=_BOOK.c.renter.type)
_load_of_renter: Final = Statement(select(*_COLUMNS).where(_RENTER, _ACTIVE).order_by(_BOOK.c.accepted_at))
_BOTH: Final = (
    select(*_COLUMNS, *CHANNEL_COLUMNS)
    .join(CHANNELS, CHANNELS.c.id == _BOOK.c.channel_id)
    .order_by(_BOOK.c.accepted_at)
)
_load_both: Final = Statement(_BOTH.where(_RENTER, _ACTIVE))
_load_both_of_all: Final = Statement(_BOTH)
_load_both_of_many: Final = Statement(
    _BOTH.where(_BOOK.c.renter.in_(bindparam("renters", expanding=True)), _ACTIVE)
)
_insert: Final = Statement(insert(_BOOK))
_CHANGING: Final = [name for name in _NAMES if name not in {"channel_id", "renter", "accepted_at"}]
_update: Final = Statement(update(_BOOK).where(_KEY).values({name: bindparam(name) for name in _CHANGING}))

_PROOF_KEY: Final = _PROOF.c.channel_id == bindparam("key", type_=_PROOF.c.channel_id.type)
_BLOBS: Final = ("challenge", "proof")
_load_proof: Final = Statement(select(_PROOF.c.challenge, _PROOF.c.proof).where(_PROOF_KEY))
_find_proof: Final = Statement(select(_PROOF.c.channel_id).where(_PROOF_KEY))
_insert_proof: Final = Statement(insert(_PROOF))
_update_proof: Final = Statement(
    update(_PROOF).where(_PROOF_KEY).values({name: bindparam(name) for name in _BLOBS})
)

_OF_CHANNEL: Final = _PURCHASE.c.channel_id == bindparam("key", type_=_PURCHASE.c.channel_id.type)
_BOUND: Final = bindparam("bound", type_=_PURCHASE.c.total.type)
_load_purchase: Final = Statement(
    select(_PURCHASE.c.total, _PURCHASE.c.agreement, _PURCHASE.c.start, _PURCHASE.c.length).where(
        _OF_CHANNEL, _PURCHASE.c.total == _BOUND
    )
)
_insert_purchase: Final = Statement(insert(_PURCHASE))
_oldest_kept: Final = Statement(
    select(_PURCHASE.c.total)
    .where(_OF_CHANNEL)
    .order_by(_PURCHASE.c.total.desc())
    .offset(KEPT_PURCHASES - 1)
    .limit(1)
)
_forget: Final = Statement(delete(_PURCHASE).where(_OF_CHANNEL, _PURCHASE.c.total < _BOUND))


def open_books(file: Path, url: str | None, farmer: Callable[[], NodeId], deployment: str) -> Database:
    """Open a farmer's books: in `file`, or at `url` in the schema of this farmer on this deployment's folder.

    Raises StorageError.
    """
    tables = [*CHAIN_TABLES, *TABLES]
    if url is None:
        return Database.at(file, tables)
    return Database(url, tables, schema=f"tithe_{farmer()[:8].hex()}_{deployment.replace('-', '_')}")


def load_book(conn: Connection, channel: ChannelId) -> Book | None:
    """The book of an accepted channel."""
    rows = _load(conn, key=channel)
    return _read(rows[0]) if rows else None


def list_books(conn: Connection, renter: NodeId | None = None) -> list[Book]:
    """The books of one renter's channels, oldest first, without those that are retired; or of all."""
    if renter is not None:
        return [_read(row) for row in _load_of_renter(conn, key=renter)]
    return [_read(tuple(row)) for row in conn.execute(select(*_COLUMNS).order_by(_BOOK.c.accepted_at))]


def list_books_with_channels(
    conn: Connection, renters: Collection[NodeId] | None = None
) -> list[tuple[Book, Channel]]:
    """The books of these renters (some hundreds at most), or of all, with their channels, oldest first.

    Retired ones are among them only where all are wanted.
    """
    if renters is None:
        rows = _load_both_of_all(conn)
    elif len(renters) == 1:
        rows = _load_both(conn, key=next(iter(renters)))
    else:
        rows = _load_both_of_many.among(conn, renters)
    width = len(_COLUMNS)
    return [(_read(row[:width]), read_channel(row[width:])) for row in rows]


def add_book(conn: Connection, book: Book) -> None:
    """Open the book of a channel that has none."""
    fixed = {"channel_id": book.channel_id, "renter": book.renter, "accepted_at": book.accepted_at}
    _insert(conn, **fixed, **_changing(book), retired_at=None)


def retire_books(conn: Connection, channels: Collection[ChannelId], now: Timestamp) -> None:
    """Let the books of these channels, all closed, count no more in what their renters owe."""
    for start in range(0, len(channels), _AT_ONCE):
        some = list(channels)[start : start + _AT_ONCE]
        conn.execute(update(_BOOK).where(_BOOK.c.channel_id.in_(some)).values(retired_at=now))


def save_book(conn: Connection, book: Book) -> None:
    """Write a book that was opened before; its renter and its day of acceptance never change."""
    save_books(conn, [book])


def save_books(conn: Connection, books: Iterable[Book]) -> None:
    """Write books that were opened before."""
    _update.many(conn, ({"key": book.channel_id, **_changing(book)} for book in books))


def load_held(conn: Connection, channel: ChannelId) -> Held | None:
    """Challenge and proof behind the channel's proven voucher."""
    rows = _load_proof(conn, key=channel)
    return Held(blobs.unpack_challenge(rows[0][0]), blobs.unpack_proof(rows[0][1])) if rows else None


def save_held(conn: Connection, channel: ChannelId, held: Held) -> None:
    """Put challenge and proof beside the voucher; to be called in the transaction that stores it."""
    packed = {"challenge": blobs.pack_challenge(held.challenge), "proof": blobs.pack_proof(held.proof)}
    if _find_proof(conn, key=channel):
        _update_proof(conn, key=channel, **packed)
    else:
        _insert_proof(conn, channel_id=channel, **packed)


def load_purchase(conn: Connection, channel: ChannelId, total: Amount) -> Purchase | None:
    """What the voucher of this total bought, if it is among the newest."""
    rows = _load_purchase(conn, key=channel, bound=total)
    return Purchase(*rows[0]) if rows else None


def save_purchase(conn: Connection, channel: ChannelId, purchase: Purchase) -> None:
    """Remember a read that was paid; forget the oldest of the channel beyond KEPT_PURCHASES."""
    _insert_purchase(
        conn,
        channel_id=channel,
        total=purchase.total,
        agreement=purchase.agreement,
        start=purchase.offset,
        length=purchase.length,
    )
    for (oldest,) in _oldest_kept(conn, key=channel):
        _forget(conn, key=channel, bound=oldest)


def next_number(conn: Connection, name: str) -> int:
    """Raise the sequence of this name and return it; the first is 1."""
    value = conn.execute(select(_SEQUENCE.c.value).where(_SEQUENCE.c.name == name)).scalar()
    if value is None:
        conn.execute(_SEQUENCE.insert(), {"name": name, "value": 1})
        return 1
    conn.execute(_SEQUENCE.update().where(_SEQUENCE.c.name == name), {"value": value + 1})
    return int(value) + 1


def _changing(book: Book) -> dict[str, Any]:
    earnings = book.earnings
    paid, proven = earnings.paid, earnings.proven
    return {
        "paid_total": paid.total if paid else None,
        "paid_signature": paid.signature if paid else None,
        "proven_total": proven.total if proven else None,
        "proven_condition": proven.voucher.condition if proven else None,
        "proven_signature": proven.signature if proven else None,
        "proven_at": earnings.proven_at,
        "proven_rate": earnings.proven_rate,
        "prepaid": earnings.prepaid,
        "last_paid_audit": earnings.last_paid_audit,
        "claimed": earnings.claimed,
        "unclaimed_since": book.unclaimed_since,
        "revocable": earnings.revocable,
        "arrears": earnings.arrears,
        "arrears_rate": earnings.arrears_rate,
    }


def _read(row: Sequence[Any]) -> Book:
    (
        channel,
        renter,
        accepted_at,
        paid_total,
        paid_signature,
        proven_total,
        proven_condition,
        proven_signature,
        proven_at,
        proven_rate,
        prepaid,
        last_paid_audit,
        claimed,
        unclaimed_since,
        revocable,
        arrears,
        arrears_rate,
    ) = row
    paid = _voucher(channel, paid_total, paid_signature, ZERO32)
    proven = _voucher(channel, proven_total, proven_signature, proven_condition)
    earnings = Earnings(
        paid=paid,
        proven=proven,
        prepaid=prepaid,
        last_paid_audit=last_paid_audit,
        proven_at=proven_at,
        proven_rate=proven_rate,
        claimed=claimed,
        revocable=bool(revocable),
        arrears=arrears or Amount(0),
        arrears_rate=arrears_rate or Amount(0),
    )
    return Book(channel, renter, accepted_at, earnings, unclaimed_since)


def _voucher(
    channel: ChannelId, total: Amount | None, signature: bytes | None, condition: bytes | None
) -> SignedVoucher | None:
    if total is None or signature is None or condition is None:
        return None
    return SignedVoucher(Voucher(channel, total, condition), signature)
