"""A renter's shelf as it should stand with its farmers: the version of each entry, and who has which."""

from typing import Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Table, insert, select, update
from sqlmodel import Field, SQLModel

from payments.types import NodeId, Timestamp
from settlement.tables import table


class EntryRow(SQLModel, table=True):
    """An entry's newest version."""

    __tablename__ = "renter_shelf"

    entry: bytes = Field(primary_key=True, sa_type=LargeBinary)
    version: int = Field(sa_type=BigInteger)


class KeptRow(SQLModel, table=True):
    """The version of an entry that a farmer has confirmed."""

    __tablename__ = "renter_shelf_kept"

    farmer: bytes = Field(primary_key=True, sa_type=LargeBinary)
    entry: bytes = Field(primary_key=True, sa_type=LargeBinary)
    version: int = Field(sa_type=BigInteger)


TABLES: Final[tuple[type[SQLModel], ...]] = (EntryRow, KeptRow)
"""What this module keeps in a renter's money database."""

_ENTRIES: Final[Table] = table(EntryRow)
_KEPT: Final[Table] = table(KeptRow)


def renew_entry(conn: Connection, entry: bytes, now: Timestamp) -> None:
    """Give an entry a newer version than any before, for its content has changed."""
    known = load_version(conn, entry)
    save_version(conn, entry, max(now, (known or 0) + 1))


def save_version(conn: Connection, entry: bytes, version: int) -> None:
    """Write the version of an entry."""
    changed = update(_ENTRIES).where(_ENTRIES.c.entry == entry).values(version=version)
    if not conn.execute(changed).rowcount:
        conn.execute(insert(_ENTRIES).values(entry=entry, version=version))


def load_version(conn: Connection, entry: bytes) -> int | None:
    """The version of an entry, None where there is none."""
    found = conn.execute(select(_ENTRIES.c.version).where(_ENTRIES.c.entry == entry)).scalar()
    return None if found is None else int(found)


def list_due(conn: Connection, farmer: NodeId) -> list[tuple[bytes, int]]:
    """Entries of which a farmer does not have the newest version."""
    kept = select(_KEPT).where(_KEPT.c.farmer == farmer).subquery()
    query = (
        select(_ENTRIES.c.entry, _ENTRIES.c.version)
        .outerjoin(kept, kept.c.entry == _ENTRIES.c.entry)
        .where((kept.c.version.is_(None)) | (kept.c.version != _ENTRIES.c.version))
        .order_by(_ENTRIES.c.entry)
    )
    return [(row.entry, row.version) for row in conn.execute(query)]


def note_kept(conn: Connection, farmer: NodeId, entry: bytes, version: int) -> None:
    """Note that a farmer has this version of an entry."""
    mine = (_KEPT.c.farmer == farmer, _KEPT.c.entry == entry)
    if not conn.execute(update(_KEPT).where(*mine).values(version=version)).rowcount:
        conn.execute(insert(_KEPT).values(farmer=farmer, entry=entry, version=version))
