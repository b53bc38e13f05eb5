"""A Database: durable state shared by many writers, one commit for all that wait (group commit).

Every change of the project passes `Database.write`. One thread owns the only writing connection; functions
that queue up while it syncs the disk share the next commit, each inside its own savepoint, and hear of
success only when that commit is on disk (SQLite WAL with synchronous=FULL, or PostgreSQL).
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Dialect, Engine, LargeBinary, MetaData, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

from payments.types import Amount, to_amount
from settlement import postgresql, steps, storage_faults
from settlement.errors import StorageClosed, StorageFailed
from settlement.migrations import migrate

T = TypeVar("T")

AMOUNT_BYTES: Final = 12
BUSY_TIMEOUT_MS: Final = 10_000
MAX_GROUP: Final = 1_000
"""Functions that share one commit at most: bounds how long the first of them waits."""


def pack_amount(value: int | None) -> bytes | None:
    """Write an amount as a column keeps it."""
    return None if value is None else value.to_bytes(AMOUNT_BYTES, "big")


def unpack_amount(value: bytes | None) -> Amount | None:
    """Read an amount from a column. Raises AmountOutOfRange for what no amount was written as."""
    return None if value is None else to_amount(int.from_bytes(value, "big"))


class AmountColumn(TypeDecorator[Amount]):
    """A uint96 as 12 big-endian bytes: exact beyond 64 bits and ordered like the number."""

    impl = LargeBinary(AMOUNT_BYTES)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - given by SQLAlchemy
        """Pack an amount."""
        return pack_amount(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Amount | None:  # noqa: ARG002 - given by SQLAlchemy
        """Unpack an amount."""
        return unpack_amount(value)


@dataclass(slots=True)
class _Job:
    """One queued function, who waits for it, and how it ended."""

    work: Callable[[Connection], Any]
    future: "asyncio.Future[Any] | Future[Any]"
    loop: asyncio.AbstractEventLoop | None
    origin: steps.Origin | None
    result: Any = None
    error: BaseException | None = None


class Database:
    """State on disk: concurrent reads, group-committed writes.

    `url` is a URL (`sqlite:////path/money.db`, `postgresql://host/database`). `tables` are the SQLModel
    classes to create where missing; all that are imported by default. `schema` is where they are in
    PostgreSQL; None leaves that to the server. Raises StorageError.
    """

    def __init__(
        self, url: str, tables: Iterable[type[SQLModel]] | None = None, *, schema: str | None = None
    ) -> None:
        parsed = postgresql.read_url(url) or make_url(url)
        self._schema = schema
        self._sqlite = parsed.get_backend_name() == "sqlite"
        self.name = (parsed.database or "") if self._sqlite else postgresql.show(parsed, schema)
        if self._sqlite and self.name in ("", ":memory:"):
            raise StorageFailed(self.name, "an SQLite database needs a file")
        self._writer_engine = self._engine(parsed, begin="BEGIN IMMEDIATE")
        self._reader_engine = self._engine(parsed, begin="BEGIN", query_only=True)
        self._driver_error: type[Exception] = self._writer_engine.dialect.loaded_dbapi.Error
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._write_loop, name=f"writer of {self.name}", daemon=True)
        self._thread.start()
        try:
            self.write_sync(lambda conn: self._create(conn, tables))
        except BaseException:
            self.close()
            raise

    @classmethod
    def at(cls, path: Path, tables: Iterable[type[SQLModel]] | None = None) -> "Database":
        """Open (or create) the SQLite database in the file `path`."""
        return cls(f"sqlite:///{path}", tables)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent snapshot of what is committed; it must not write."""
        if self._closed:
            raise StorageClosed(self.name)
        try:
            with self._reader_engine.connect() as conn, conn.begin():
                return work(conn)
        except (DBAPIError, self._driver_error) as err:
            raise self._named(err) from err

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the writer thread; return its result once it is durable.

        Whatever `work` raises undoes its own changes only and is raised here. A cancelled caller does not
        undo work that is already queued.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._enqueue(_Job(work, future, loop, steps.origin()))
        return await future

    def write_sync(self, work: Callable[[Connection], T]) -> T:
        """Do the same as `write` for callers without an event loop."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("write_sync was called inside a write: use the connection at hand")
        future: Future[T] = Future()
        self._enqueue(_Job(work, future, None, steps.origin()))
        return future.result()

    def close(self) -> None:
        """Commit what is queued, then release the files. Closing twice is harmless."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self._reader_engine.dispose()
        self._writer_engine.dispose()

    def _enqueue(self, job: _Job) -> None:
        with self._closing:
            if self._closed:
                raise StorageClosed(self.name)
            self._jobs.put(job)

    def _write_loop(self) -> None:
        """Take everything that waits, commit it at once, tell the callers; until closed."""
        conn: Connection | None = None
        running = True
        while running:
            group: list[_Job] = []
            item = self._jobs.get()
            while item is not None:
                group.append(item)
                if len(group) == MAX_GROUP or self._jobs.empty():
                    break
                item = self._jobs.get()
            running = item is not None
            if group:
                try:
                    conn = self._kept(conn)
                    if conn is None:
                        conn = self._writer_engine.connect()
                    self._commit(conn, group)
                except BaseException as err:  # noqa: BLE001 - every waiting caller must hear of it
                    fault = self._named(err)
                    for job in group:
                        job.error = fault
                    _discard(conn)
                    conn = None
                _tell(group)
        _discard(conn)

    def _commit(self, conn: Connection, group: list[_Job]) -> None:
        """Run the group's functions and make them durable. The only commit of the project."""
        origins = [job.origin for job in group]
        with conn.begin():
            cursor = conn.connection.cursor()
            for job in group:
                cursor.execute("SAVEPOINT job")
                try:
                    job.result = job.work(conn)
                except BaseException as err:
                    job.error = self._named(err)
                    if self._transaction_lost(conn):
                        raise
                    cursor.execute("ROLLBACK TO SAVEPOINT job")
                cursor.execute("RELEASE SAVEPOINT job")
            cursor.close()
            steps.reach(steps.Kind.COMMIT, steps.Moment.BEFORE, *origins)
        steps.reach(steps.Kind.COMMIT, steps.Moment.AFTER, *origins)

    def _transaction_lost(self, conn: Connection) -> bool:
        """Tell whether the database ended the whole transaction by itself (disk full, server gone)."""
        if conn.invalidated:
            return True
        driver: Any = conn.connection.driver_connection
        return not driver.in_transaction if self._sqlite else bool(driver.closed)

    def _kept(self, conn: Connection | None) -> Connection | None:
        """Keep the writing connection, unless its server has hung up meanwhile."""
        if conn is None or self._sqlite or postgresql.answers(conn):
            return conn
        _discard(conn)
        return None

    def _create(self, conn: Connection, tables: Iterable[type[SQLModel]] | None) -> None:
        if not self._sqlite:
            postgresql.prepare(conn, self.name, self._schema)
        metadata: MetaData = SQLModel.metadata
        chosen = [metadata.tables[str(table.__tablename__)] for table in tables or ()]
        if tables is None:
            chosen = list(metadata.tables.values())
        migrate(conn, self.name, chosen)
        metadata.create_all(conn, tables=chosen)

    def _engine(self, url: URL, begin: str, *, query_only: bool = False) -> Engine:
        if not self._sqlite:
            return postgresql.open_engine(url, self._schema, BUSY_TIMEOUT_MS, read_only=query_only)
        pool = QueuePool if query_only else NullPool
        limits = {"max_overflow": -1} if query_only else {}
        engine = create_engine(
            url,
            poolclass=pool,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "isolation_level": None},
            **limits,
        )

        @event.listens_for(engine, "connect")
        def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
            cursor: DBAPICursor = connection.cursor()
            for pragma in (
                f"busy_timeout={BUSY_TIMEOUT_MS}",
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                f"query_only={int(query_only)}",
            ):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        @event.listens_for(engine, "begin")
        def start(conn: Connection) -> None:
            conn.exec_driver_sql(begin)

        return engine

    def _named(self, err: BaseException) -> BaseException:
        """Translate a fault of disk, file or server into our tree; leave all others as they are."""
        name_fault = storage_faults.name_fault if self._sqlite else postgresql.name_fault
        return name_fault(self.name, err)


def _discard(conn: Connection | None) -> None:
    if conn is not None:
        conn.invalidate()
        conn.close()


def _tell(group: list[_Job]) -> None:
    """Give each caller its result or error, with one wake-up per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[_Job]] = {}
    for job in group:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        if loop is None:
            _resolve(jobs)
            continue
        with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, jobs)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # its caller was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
