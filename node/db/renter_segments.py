"""The segments that are stored already of files that are still being put: a killed put goes on with them.

Gone once the file is stored or given up.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Table, delete, func, insert, select
from sqlmodel import Field, SQLModel

from payments.types import Timestamp
from settlement.tables import table


class SegmentRow(SQLModel, table=True):
    """One segment, all of whose shards are signed for."""

    __tablename__ = "renter_segment"

    file_id: bytes = Field(primary_key=True, foreign_key="renter_file.file_id", sa_type=LargeBinary)
    number: int = Field(primary_key=True)
    id: bytes = Field(sa_type=LargeBinary)
    wrapped_key: bytes = Field(sa_type=LargeBinary)
    length: int = Field(sa_type=BigInteger)
    prefix: bytes = Field(sa_type=LargeBinary)
    stored_at: int = Field(sa_type=BigInteger)


TABLES: Final[tuple[type[SQLModel], ...]] = (SegmentRow,)
"""What this module keeps in a renter's money database."""

_SEGMENTS: Final[Table] = table(SegmentRow)


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """A segment that is stored. `length`: of its plaintext; `prefix`: see node.renter.sealing."""

    file_id: bytes
    number: int
    id: bytes
    wrapped_key: bytes
    length: int
    prefix: bytes
    stored_at: Timestamp


def insert_segment(conn: Connection, segment: SegmentRecord) -> None:
    """Note that a segment is stored."""
    conn.execute(
        insert(_SEGMENTS).values(
            file_id=segment.file_id,
            number=segment.number,
            id=segment.id,
            wrapped_key=segment.wrapped_key,
            length=segment.length,
            prefix=segment.prefix,
            stored_at=segment.stored_at,
        )
    )


def load_segments(conn: Connection, file_id: bytes) -> tuple[SegmentRecord, ...]:
    """Return the stored segments of a file that is being put, in order."""
    rows = conn.execute(select(_SEGMENTS).where(_SEGMENTS.c.file_id == file_id).order_by(_SEGMENTS.c.number))
    return tuple(
        SegmentRecord(
            file_id=row.file_id,
            number=row.number,
            id=row.id,
            wrapped_key=row.wrapped_key,
            length=row.length,
            prefix=row.prefix,
            stored_at=Timestamp(row.stored_at),
        )
        for row in rows
    )


def last_stored(conn: Connection, file_id: bytes) -> Timestamp | None:
    """Return when the newest segment of a file that is being put was stored; None where there is none."""
    newest = conn.execute(
        select(func.max(_SEGMENTS.c.stored_at)).where(_SEGMENTS.c.file_id == file_id)
    ).scalar()
    return None if newest is None else Timestamp(newest)


def delete_segments(conn: Connection, file_id: bytes, first: int = 0) -> None:
    """Forget the segments of a file from this number on."""
    conn.execute(delete(_SEGMENTS).where(_SEGMENTS.c.file_id == file_id, _SEGMENTS.c.number >= first))
