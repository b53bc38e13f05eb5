"""What repairs need to be remembered: bytes moved lately, and until when a file is to be kept."""

from typing import Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Table, delete, insert, select, update
from sqlmodel import Field, SQLModel

from payments.types import Timestamp
from settlement.tables import table


class TrafficRow(SQLModel, table=True):
    """One segment's repair: when it began, the bytes it has moved, or was to move if it has not ended."""

    __tablename__ = "renter_repair_traffic"

    id: int | None = Field(default=None, primary_key=True)
    at: int = Field(index=True, sa_type=BigInteger)
    bytes: int = Field(sa_type=BigInteger)


class KeepRow(SQLModel, table=True):
    """A file that is not to be kept for ever."""

    __tablename__ = "renter_keep"

    file_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    until: int = Field(sa_type=BigInteger)


TABLES: Final[tuple[type[SQLModel], ...]] = (TrafficRow, KeepRow)
"""What this module keeps in a renter's money database."""

_TRAFFIC: Final[Table] = table(TrafficRow)
_KEEP: Final[Table] = table(KeepRow)


def reserve_traffic(conn: Connection, count: int, now: Timestamp) -> int:
    """Note bytes that are about to be moved; return by what `settle_traffic` knows them."""
    noted = conn.execute(insert(_TRAFFIC).values(at=now, bytes=count).returning(_TRAFFIC.c.id))
    return int(noted.scalar_one())


def settle_traffic(conn: Connection, reserved: int, count: int) -> None:
    """Note what was moved in place of what was to be."""
    conn.execute(update(_TRAFFIC).where(_TRAFFIC.c.id == reserved).values(bytes=count))


def sum_traffic(conn: Connection, since: Timestamp) -> int:
    """Add up the bytes noted from then on."""
    return sum(conn.execute(select(_TRAFFIC.c.bytes).where(_TRAFFIC.c.at > since)).scalars())


def set_keep(conn: Connection, file_id: bytes, until: Timestamp | None) -> None:
    """Write until when a file is to be kept; None: until it is removed."""
    conn.execute(delete(_KEEP).where(_KEEP.c.file_id == file_id))
    if until is not None:
        conn.execute(insert(_KEEP).values(file_id=file_id, until=until))


def load_keeps(conn: Connection) -> dict[bytes, Timestamp]:
    """Return until when files are to be kept, for those that have an end."""
    return {row.file_id: Timestamp(row.until) for row in conn.execute(select(_KEEP))}
