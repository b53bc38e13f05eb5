"""What a farmer keeps for its renters: entries it cannot read, the newest version of each."""

from typing import Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Table, delete, func, insert, select, update
from sqlmodel import Field, SQLModel

from payments.types import NodeId
from settlement.tables import table


class ShelfRow(SQLModel, table=True):
    """One entry of one renter."""

    __tablename__ = "farmer_shelf"

    renter: bytes = Field(primary_key=True, sa_type=LargeBinary)
    entry: bytes = Field(primary_key=True, sa_type=LargeBinary)
    version: int = Field(sa_type=BigInteger)
    sealed: bytes = Field(sa_type=LargeBinary)


TABLES: Final[tuple[type[SQLModel], ...]] = (ShelfRow,)
"""What this module keeps in a farmer's money database."""

_SHELF: Final[Table] = table(ShelfRow)


def load_version(conn: Connection, renter: NodeId, entry: bytes) -> int | None:
    """Which version of an entry is kept."""
    found = conn.execute(select(_SHELF.c.version).where(*_of(renter, entry))).scalar()
    return None if found is None else int(found)


def load_entry(conn: Connection, renter: NodeId, entry: bytes) -> tuple[int, bytes] | None:
    """An entry: version and sealed bytes."""
    row = conn.execute(select(_SHELF.c.version, _SHELF.c.sealed).where(*_of(renter, entry))).one_or_none()
    return None if row is None else (row.version, row.sealed)


def list_entries(conn: Connection, renter: NodeId) -> list[tuple[bytes, int]]:
    """Name and version of all entries of a renter."""
    query = select(_SHELF.c.entry, _SHELF.c.version).where(_SHELF.c.renter == renter)
    return [(row.entry, row.version) for row in conn.execute(query.order_by(_SHELF.c.entry))]


def measure(conn: Connection, renter: NodeId, besides: bytes) -> tuple[int, int]:
    """Bytes and number of a renter's entries, one of them left out."""
    query = select(func.coalesce(func.sum(func.length(_SHELF.c.sealed)), 0), func.count())
    row = conn.execute(query.where(_SHELF.c.renter == renter, _SHELF.c.entry != besides)).one()
    return int(row[0]), int(row[1])


def measure_all(conn: Connection) -> int:
    """Bytes of all entries of all renters."""
    return int(conn.execute(select(func.coalesce(func.sum(func.length(_SHELF.c.sealed)), 0))).scalar_one())


def list_shelved(conn: Connection) -> list[NodeId]:
    """The renters for whom something is kept."""
    return [NodeId(row.renter) for row in conn.execute(select(_SHELF.c.renter).distinct())]


def clear_shelf(conn: Connection, renter: NodeId) -> None:
    """Keep nothing for a renter any more."""
    conn.execute(delete(_SHELF).where(_SHELF.c.renter == renter))


def save_entry(conn: Connection, renter: NodeId, entry: bytes, version: int, sealed: bytes) -> None:
    """Keep an entry in place of the one before."""
    values = {"version": version, "sealed": sealed}
    if not conn.execute(update(_SHELF).where(*_of(renter, entry)).values(**values)).rowcount:
        conn.execute(insert(_SHELF).values(renter=renter, entry=entry, **values))


def _of(renter: NodeId, entry: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN202 - two SQL conditions
    return _SHELF.c.renter == renter, _SHELF.c.entry == entry
