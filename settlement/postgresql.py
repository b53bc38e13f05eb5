"""PostgreSQL behind a Database: engines that commit to disk as SQLite's do, and its faults by our names.

A Database lives in a schema, so that one server holds the books of several deployments. Every write
transaction takes the schema's advisory lock first: as with SQLite there is one writer at a time, whatever the
number of programs, and "check, then write" is one step.
"""

from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from settlement.errors import (
    StorageBusy,
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageNotDurable,
    StorageReadOnly,
    StorageUnreachable,
)

DRIVER: Final = "postgresql+psycopg"
_REMEDY: Final = "PostgreSQL needs psycopg: ./scripts/setup installs it, or pip install 'tithebarn[postgres]'"
_BY_SQLSTATE: Final = {
    "53100": StorageFull,
    "25006": StorageReadOnly,
    "42501": StorageReadOnly,
    "XX001": StorageCorrupt,
    "XX002": StorageCorrupt,
    "55P03": StorageBusy,
    "40P01": StorageBusy,
}
_CONNECTION: Final = ("08", "28", "3D", "57")
"""Classes of SQLSTATE: connections, who may make them, no such database, the server stops."""
_MUST_BE_ON: Final = ("fsync", "full_page_writes")
"""Settings of the server without which a power cut may take back what it has acknowledged."""


def read_url(url: str) -> URL | None:
    """The URL with the driver we use; None if it is of another database, or none at all."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    return parsed.set(drivername=DRIVER) if parsed.get_backend_name() == "postgresql" else None


def open_engine(url: URL, schema: str | None, lock_ms: int, *, read_only: bool) -> Engine:
    """Make the engine that reads, each time one snapshot, or the one that writes. Raises StorageError."""
    pool = {"poolclass": QueuePool, "max_overflow": -1, "pool_pre_ping": True} if read_only else {}
    level = "REPEATABLE READ" if read_only else "READ COMMITTED"
    options = {"poolclass": NullPool} | pool
    try:
        engine = create_engine(url, hide_parameters=True, isolation_level=level, **options)
    except ModuleNotFoundError as error:
        raise StorageError(show(url, schema), _REMEDY) from error
    settings = {"lock_timeout": str(lock_ms), "default_transaction_read_only": "on" if read_only else "off"}
    if schema is not None:
        settings["search_path"] = f'"{schema}"'

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for name, value in settings.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
        cursor.close()
        connection.commit()

    if not read_only:

        @event.listens_for(engine, "begin")
        def start(conn: Connection) -> None:
            conn.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_lock_of(schema),))

    return engine


def prepare(conn: Connection, database: str, schema: str | None) -> None:
    """Refuse a server that forgets what it acknowledged; make the schema where missing.

    Raises StorageNotDurable.
    """
    for setting in _MUST_BE_ON:
        if conn.exec_driver_sql("SELECT current_setting(%s)", (setting,)).scalar_one() != "on":
            raise StorageNotDurable(database, setting)
    if schema is not None:
        known = conn.exec_driver_sql("SELECT to_regnamespace(%s)", (f'"{schema}"',)).scalar_one()
        if known is None:
            conn.exec_driver_sql(f'CREATE SCHEMA "{schema}"')


def answers(conn: Connection) -> bool:
    """Whether the server is still there for this connection, which has no transaction open."""
    try:
        driver = conn.connection.dbapi_connection
        return driver is not None and bool(conn.dialect.do_ping(driver))
    except (DBAPIError, conn.dialect.loaded_dbapi.Error):
        return False


def show(url: URL, schema: str | None) -> str:
    """Name a database in messages, without any password."""
    name = url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
    return f"{name} schema {schema}" if schema else name


def name_fault(database: str, err: BaseException) -> BaseException:
    """Translate a fault of the server or the way to it into our tree; leave all others as they are."""
    orig = err.orig if isinstance(err, DBAPIError) else err
    state = getattr(orig, "sqlstate", None) or ""
    if state in _BY_SQLSTATE:
        return _BY_SQLSTATE[state](database)
    unconnected = not state and any(kind.__name__ == "OperationalError" for kind in type(orig).__mro__)
    if not unconnected and state[:2] not in _CONNECTION:
        return err
    return StorageUnreachable(database, (str(orig).strip().splitlines() or [state])[0])


def _lock_of(schema: str | None) -> int:
    """The number of a schema's advisory lock, a signed bigint."""
    return int.from_bytes(sha256(f"tithebarn {schema or ''}".encode()).digest()[:8], signed=True)
