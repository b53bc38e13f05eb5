"""A renter's files, each with its sealed manifest, from the first byte put to the last shard deleted."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Row, Table, insert, select, update
from sqlmodel import Field, SQLModel

from payments.types import Timestamp
from settlement.tables import table


class FileState(Enum):
    """Where a file stands."""

    PUTTING = "putting"
    """Being uploaded; a file that a killed process left so is cleaned away."""
    STORED = "stored"
    """Every shard is countersigned."""
    REMOVED = "removed"
    """Given up by its owner; its shards are being deleted."""


class FileRow(SQLModel, table=True):
    """A file. `manifest` is sealed with the master key."""

    __tablename__ = "renter_file"

    file_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    name: str = Field(index=True)
    state: str = Field(index=True)
    size: int = Field(default=0, sa_type=BigInteger)
    sha256: bytes = Field(default=b"", sa_type=LargeBinary)
    k: int
    n: int
    segments: int = 0
    manifest: bytes = Field(default=b"", sa_type=LargeBinary)
    created_at: int = Field(sa_type=BigInteger)


TABLES: Final[tuple[type[SQLModel], ...]] = (FileRow,)
"""What this module keeps in a renter's money database."""

_FILES: Final[Table] = table(FileRow)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as stored. `file_id`: 16 random bytes; size, sha256, segments, manifest are known in the end."""

    file_id: bytes
    name: str
    state: FileState
    k: int
    n: int
    created_at: Timestamp
    size: int = 0
    sha256: bytes = b""
    segments: int = 0
    manifest: bytes = b""


def insert_file(conn: Connection, file: FileRecord) -> None:
    """Write a new file."""
    conn.execute(
        insert(_FILES).values(
            file_id=file.file_id,
            name=file.name,
            state=file.state.value,
            size=file.size,
            sha256=file.sha256,
            k=file.k,
            n=file.n,
            segments=file.segments,
            manifest=file.manifest,
            created_at=file.created_at,
        )
    )


def finish_file(conn: Connection, file: FileRecord) -> None:
    """Declare a file stored, with all that is known of it now."""
    conn.execute(
        update(_FILES)
        .where(_FILES.c.file_id == file.file_id)
        .values(
            state=FileState.STORED.value,
            size=file.size,
            sha256=file.sha256,
            segments=file.segments,
            manifest=file.manifest,
        )
    )


def set_manifest(conn: Connection, file_id: bytes, manifest: bytes) -> None:
    """Replace a file's sealed manifest."""
    conn.execute(update(_FILES).where(_FILES.c.file_id == file_id).values(manifest=manifest))


def set_file_state(conn: Connection, file_id: bytes, state: FileState) -> None:
    """Move a file on."""
    conn.execute(update(_FILES).where(_FILES.c.file_id == file_id).values(state=state.value))


def load_file(conn: Connection, name: str, *states: FileState) -> FileRecord | None:
    """Return the file of this name that is in one of these states."""
    query = select(_FILES).where(_FILES.c.name == name, _FILES.c.state.in_([state.value for state in states]))
    row = conn.execute(query).first()
    return None if row is None else _file(row)


def load_file_by_id(conn: Connection, file_id: bytes) -> FileRecord | None:
    """Return the file with this id, in any state."""
    row = conn.execute(select(_FILES).where(_FILES.c.file_id == file_id)).one_or_none()
    return None if row is None else _file(row)


def load_files(conn: Connection, state: FileState) -> tuple[FileRecord, ...]:
    """Return the files in a state, by name."""
    return tuple(
        _file(row)
        for row in conn.execute(select(_FILES).where(_FILES.c.state == state.value).order_by(_FILES.c.name))
    )


def load_file_names(conn: Connection) -> dict[bytes, str]:
    """Return the name of every file ever put, by its id."""
    return {row.file_id: row.name for row in conn.execute(select(_FILES.c.file_id, _FILES.c.name))}


def _file(row: Row[Any]) -> FileRecord:
    return FileRecord(
        file_id=row.file_id,
        name=row.name,
        state=FileState(row.state),
        k=row.k,
        n=row.n,
        created_at=Timestamp(row.created_at),
        size=row.size,
        sha256=row.sha256,
        segments=row.segments,
        manifest=row.manifest,
    )
