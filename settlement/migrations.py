"""Migrations: how a database of an earlier version becomes one of this version, step by step.

A database says by a number which version it has; one without a number has the first. Whoever changes a
column of a table that has been in use adds a step here, and a test that begins with a table as it was.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Connection, Integer, MetaData, Table, inspect

from settlement.errors import StorageTooNew, StorageTooOld


@dataclass(frozen=True, slots=True)
class Step:
    """One change, of a table that not every database has; the same words for SQLite and PostgreSQL."""

    table: str
    statement: str


STEPS: Final = (
    Step("transactions", "ALTER TABLE transactions ADD COLUMN queued_at BIGINT NOT NULL DEFAULT 0"),
    Step("renter_shard", "DROP INDEX IF EXISTS ix_renter_shard_state"),
    Step("renter_shard", "DROP INDEX IF EXISTS ix_renter_shard_farmer"),
    Step("renter_shard", "CREATE INDEX renter_shard_by_outcome ON renter_shard (state, outcome)"),
    Step("renter_shard", 'CREATE INDEX renter_shard_by_end ON renter_shard (state, "end")'),
    Step("renter_shard", "CREATE INDEX renter_shard_by_farmer ON renter_shard (farmer, state)"),
    Step("tower_channel", "ALTER TABLE tower_channel RENAME TO tower_channel_of_anybody"),
    Step(
        "tower_channel",
        "CREATE TABLE tower_channel (farmer BLOB NOT NULL, channel_id BLOB NOT NULL, payer BLOB NOT NULL,"
        " signer BLOB NOT NULL, payee BLOB NOT NULL, token BLOB NOT NULL, challenge_period BIGINT NOT NULL,"
        " salt BLOB NOT NULL, paid_total BLOB, paid_signature BLOB, proven_total BLOB, proven_condition BLOB,"
        " proven_signature BLOB, proof BLOB NOT NULL, PRIMARY KEY (farmer, channel_id))",
    ),
    Step(
        "tower_channel",
        "INSERT INTO tower_channel SELECT farmer, channel_id, payer, signer, payee, token, challenge_period,"
        " salt, paid_total, paid_signature, proven_total, proven_condition, proven_signature, proof"
        " FROM tower_channel_of_anybody",
    ),
    Step("tower_channel", "DROP TABLE tower_channel_of_anybody"),
    Step("farmer_book", "ALTER TABLE farmer_book ADD COLUMN arrears BYTEA"),
    Step("farmer_book", "ALTER TABLE farmer_book ADD COLUMN arrears_rate BYTEA"),
    Step("farmer_book", "ALTER TABLE farmer_book ADD COLUMN retired_at BIGINT"),
    Step("renter_shard", "ALTER TABLE renter_shard ADD COLUMN given_up_at BIGINT"),
)
"""A watchtower's books are SQLite's alone, so that their steps need its words only."""
VERSION: Final = 1 + len(STEPS)

_VERSION: Final = Table(
    "schema_version",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
)


def migrate(conn: Connection, database: str, tables: list[Table]) -> None:
    """Bring an existing database up to date; `tables` are those it is to have. A new one gets its number.

    Raises StorageTooNew, and StorageTooOld where no step leads from what is there to these tables.
    """
    known = set(inspect(conn).get_table_names())
    found = conn.execute(_VERSION.select()).one_or_none() if _VERSION.name in known else None
    if found is not None and found.version == VERSION:
        return
    if found is not None and found.version > VERSION:
        raise StorageTooNew(database, found.version, VERSION)
    for step in STEPS[(found.version if found is not None else 1) - 1 :]:
        if step.table in known:
            conn.exec_driver_sql(step.statement)
    _check(conn, database, [table for table in tables if table.name in known])
    _VERSION.create(conn, checkfirst=True)
    conn.execute(_VERSION.delete())
    conn.execute(_VERSION.insert().values(id=1, version=VERSION))


def _check(conn: Connection, database: str, tables: list[Table]) -> None:
    """Look whether the tables that are there have all columns: some were made before there were numbers."""
    inspector = inspect(conn)
    for table in tables:
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                raise StorageTooOld(database, f"{table.name}.{column.name}")
