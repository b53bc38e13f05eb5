"""Statistics: counters and notes a node can live without, in a database of their own.

Counting is a dictionary update; `flush` writes sums and notes now and then. Nothing here ever stops the node:
a damaged file is put aside and a new one begun, a full disk only delays the next flush.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Field, SQLModel

from settlement.database import Database
from settlement.errors import StorageCorrupt, StorageError
from settlement.tables import table

log = logging.getLogger("tithebarn.stats")

T = TypeVar("T")

_ASIDE: Final = ".damaged"


class CounterRow(SQLModel, table=True):
    """One counter: its name and its sum over the node's life."""

    __tablename__ = "counter"

    name: str = Field(primary_key=True)
    total: int


class NoteRow(SQLModel, table=True):
    """One note: its name and its newest text."""

    __tablename__ = "note"

    name: str = Field(primary_key=True)
    text: str


_COUNTERS: Final = table(CounterRow)
_NOTES: Final = table(NoteRow)
TABLES: Final = (CounterRow, NoteRow)


class Statistics:
    """Named counters that only rise, and named notes of which the newest counts.

    `path` is the database file; None keeps them in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pending: Counter[str] = Counter()
        self._database = _open(path) if path else None
        self._totals: Counter[str] = Counter(self._load(_all))
        self._notes: dict[str, str] = self._load(_all_notes)
        self._noted: set[str] = set()

    def count(self, name: str, by: int = 1) -> None:
        """Add `by` to a counter."""
        self._pending[name] += by

    @property
    def totals(self) -> Mapping[str, int]:
        """Every counter's sum over the node's life, flushed or not."""
        return self._totals + self._pending

    def note(self, name: str, text: str) -> None:
        """Replace a note."""
        if self._notes.get(name) != text:
            self._notes[name] = text
            self._noted.add(name)

    @property
    def notes(self) -> Mapping[str, str]:
        """Every note, flushed or not."""
        return self._notes

    async def flush(self) -> None:
        """Write the sums and notes; what a fault of the disk loses is written when it changes again."""
        pending, self._pending = self._pending, Counter()
        noted, self._noted = self._noted, set()
        if not pending and not noted:
            return
        self._totals += pending
        if self._database is None:
            return
        totals = {name: self._totals[name] for name in pending}
        notes = {name: self._notes[name] for name in noted}
        try:
            await self._database.write(lambda conn: _save(conn, totals, notes))
        except StorageError as fault:
            log.warning("statistics_lost code=%s counters=%d", fault.code, len(totals))

    def close(self) -> None:
        """Release the file; what was not flushed is forgotten."""
        if self._database is not None:
            with suppress(StorageError):
                self._database.close()

    def _load(self, read: Callable[[Connection], dict[str, T]]) -> dict[str, T]:
        if self._database is None:
            return {}
        try:
            return self._database.read(read)
        except StorageError as fault:
            log.warning("statistics_unreadable code=%s", fault.code)
            return {}


def _open(path: Path) -> Database | None:
    try:
        return Database.at(path, TABLES)
    except StorageCorrupt:
        log.warning("statistics_damaged file=%s moved_to=%s", path.name, path.name + _ASIDE)
        _put_aside(path)
    except StorageError as fault:
        log.warning("statistics_unavailable code=%s", fault.code)
        return None
    try:
        return Database.at(path, TABLES)
    except StorageError as fault:
        log.warning("statistics_unavailable code=%s", fault.code)
        return None


def _put_aside(path: Path) -> None:
    with suppress(OSError):
        path.replace(path.with_name(path.name + _ASIDE))
    for suffix in ("-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def _all(conn: Connection) -> dict[str, int]:
    return {row.name: row.total for row in conn.execute(select(_COUNTERS))}


def _all_notes(conn: Connection) -> dict[str, str]:
    return {row.name: row.text for row in conn.execute(select(_NOTES))}


def _save(conn: Connection, totals: Mapping[str, int], notes: Mapping[str, str]) -> None:
    _upsert(conn, _COUNTERS, [{"name": name, "total": total} for name, total in totals.items()])
    _upsert(conn, _NOTES, [{"name": name, "text": text} for name, text in notes.items()])


def _upsert(conn: Connection, into: Table, rows: list[dict[str, object]]) -> None:
    if rows:
        statement = insert(into)
        new = {name: statement.excluded[name] for name in rows[0] if name != "name"}
        conn.execute(statement.on_conflict_do_update(index_elements=[into.c.name], set_=new), rows)
