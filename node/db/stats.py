"""Statistics: counters a node can live without, in a database of their own.

Counting is a dictionary update; `flush` writes the sums now and then. Nothing here ever stops the node: a
damaged file is put aside and a new one begun, a full disk only delays the next flush.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Field, SQLModel

from settlement.database import Database
from settlement.errors import StorageCorrupt, StorageError
from settlement.tables import table

log = logging.getLogger("tithebarn.stats")

_ASIDE: Final = ".damaged"


class CounterRow(SQLModel, table=True):
    """One counter: its name and its sum over the node's life."""

    __tablename__ = "counter"

    name: str = Field(primary_key=True)
    total: int


_COUNTERS: Final = table(CounterRow)


class Statistics:
    """Named counters that only rise. `path` is the database file; None keeps them in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pending: Counter[str] = Counter()
        self._database = _open(path) if path else None
        self._totals: Counter[str] = Counter(self._load())

    def count(self, name: str, by: int = 1) -> None:
        """Add `by` to a counter."""
        self._pending[name] += by

    @property
    def totals(self) -> Mapping[str, int]:
        """Every counter's sum over the node's life, flushed or not."""
        return self._totals + self._pending

    async def flush(self) -> None:
        """Write the sums; on any fault of the disk keep them for the next time."""
        pending, self._pending = self._pending, Counter()
        if not pending:
            return
        self._totals += pending
        if self._database is None:
            return
        totals = {name: self._totals[name] for name in pending}
        try:
            await self._database.write(lambda conn: _save(conn, totals))
        except StorageError as fault:
            log.warning("statistics_lost code=%s counters=%d", fault.code, len(totals))

    def close(self) -> None:
        """Release the file; what was not flushed is forgotten."""
        if self._database is not None:
            with suppress(StorageError):
                self._database.close()

    def _load(self) -> dict[str, int]:
        if self._database is None:
            return {}
        try:
            return self._database.read(_all)
        except StorageError as fault:
            log.warning("statistics_unreadable code=%s", fault.code)
            return {}


def _open(path: Path) -> Database | None:
    try:
        return Database.at(path, [CounterRow])
    except StorageCorrupt:
        log.warning("statistics_damaged file=%s moved_to=%s", path.name, path.name + _ASIDE)
        _put_aside(path)
    except StorageError as fault:
        log.warning("statistics_unavailable code=%s", fault.code)
        return None
    try:
        return Database.at(path, [CounterRow])
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


def _save(conn: Connection, totals: Mapping[str, int]) -> None:
    statement = insert(_COUNTERS)
    statement = statement.on_conflict_do_update(
        index_elements=[_COUNTERS.c.name], set_={"total": statement.excluded.total}
    )
    conn.execute(statement, [{"name": name, "total": total} for name, total in totals.items()])
