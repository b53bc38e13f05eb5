"""Books of earlier versions are brought up to date; those of later ones are left alone."""

from dataclasses import replace

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    inspect,
    text,
)
from sqlmodel import SQLModel

from node.db import farmer as books
from node.db.renter_files import FileRow
from node.db.renter_shards import ShardRow
from payments.ledger import Earnings
from payments.types import MAX_AMOUNT, Address, Amount, ChannelId, NodeId, Timestamp
from settlement.calls import Call
from settlement.errors import StorageTooNew, StorageTooOld
from settlement.migrations import STEPS, VERSION
from settlement.outbox_store import Phase, add_wish, list_open
from settlement.tables import TABLES
from tests.databases import Place, on_both, place_of

SENDER = Address(bytes(20))
FIRST = Table(
    "transactions",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("purpose", String, nullable=False),
    Column("sender", LargeBinary, nullable=False),
    Column("to", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("value", String, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("nonce", BigInteger),
    Column("state", String, nullable=False),
    Column("problem", String, nullable=False),
    Column("final", LargeBinary),
)
"""As version 1 had it."""


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    return place_of(request)


def write_first(place: Place, *, table: Table = FIRST) -> None:
    """A database of version 1, which said no number, with a transaction in it."""
    database = place.open([])
    database.write_sync(lambda conn: conn.execute(text("DROP TABLE schema_version")))
    database.write_sync(table.create)
    row = {"purpose": "gift", "sender": SENDER, "to": SENDER, "data": b"", "value": "5", "gas": 0}
    kept = {name: value for name, value in row.items() if name in table.c}
    database.write_sync(lambda conn: conn.execute(table.insert().values(**kept, state="queued", problem="")))
    database.close()


@on_both
def test_first_version_is_brought_up_to_date_and_keeps_what_it_holds(place: Place) -> None:
    write_first(place)
    for _ in range(2):
        database = place.open(TABLES)
        (old,) = database.read(list_open)
        assert (old.purpose, old.call, old.phase, old.queued_at) == (
            "gift",
            Call(SENDER, b"", 5),
            Phase.QUEUED,
            0,
        )
        version = database.read(
            lambda conn: conn.execute(text("SELECT version FROM schema_version")).scalar()
        )
        assert version == VERSION
        database.close()
    database = place.open(TABLES)
    new = database.write_sync(lambda conn: add_wish(conn, "gift", SENDER, Call(SENDER, b"", 6), 77))
    assert database.read(list_open)[1] == new
    assert new.queued_at == 77


def test_indices_of_a_table_that_has_been_in_use_are_those_of_a_new_one(place: Place) -> None:
    tables: list[type[SQLModel]] = [FileRow, ShardRow]
    database = place.open(tables)
    new = database.read(indices)
    for name in new & {"renter_shard_by_outcome", "renter_shard_by_end", "renter_shard_by_farmer"}:
        database.write_sync(lambda conn, name=name: conn.execute(text(f"DROP INDEX {name}")))  # type: ignore[misc]
    for column in ("state", "farmer"):
        old = text(f"CREATE INDEX ix_renter_shard_{column} ON renter_shard ({column})")
        database.write_sync(lambda conn, old=old: conn.execute(old))  # type: ignore[misc]
    database.write_sync(lambda conn: conn.execute(text("ALTER TABLE renter_shard DROP COLUMN given_up_at")))
    database.write_sync(lambda conn: conn.execute(text("UPDATE schema_version SET version = 2")))
    assert database.read(indices) != new
    database.close()
    assert place.open(tables).read(indices) == new


def indices(conn: Connection) -> set[str]:
    return {str(index["name"]) for index in inspect(conn).get_indexes("renter_shard")}


@on_both
def test_books_without_arrears_owe_none(place: Place) -> None:
    database = place.open([*TABLES, *books.TABLES])
    book = books.Book(ChannelId(b"c" * 32), NodeId(b"r" * 32), Timestamp(7), Earnings())

    def go_back(conn: Connection) -> None:
        books.add_book(conn, book)
        for column in ("arrears", "arrears_rate", "retired_at"):
            conn.execute(text(f"ALTER TABLE farmer_book DROP COLUMN {column}"))
        before = 1 + [step.table for step in STEPS].index("farmer_book")
        conn.execute(text("UPDATE schema_version SET version = :before"), {"before": before})

    database.write_sync(go_back)
    database.close()
    database = place.open([*TABLES, *books.TABLES])
    assert database.read(books.list_books) == [book]
    owing = replace(book, earnings=Earnings(arrears=MAX_AMOUNT, arrears_rate=Amount(1)))
    database.write_sync(lambda conn: books.save_book(conn, owing))
    assert database.read(books.list_books) == [owing]
    database.close()


@on_both
def test_later_version_is_left_alone(place: Place) -> None:
    database = place.open(TABLES)
    later = text("UPDATE schema_version SET version = :later")
    database.write_sync(lambda conn: conn.execute(later, {"later": VERSION + 1}))
    database.close()
    with pytest.raises(StorageTooNew, match="use that version again") as refused:
        place.open(TABLES)
    assert (refused.value.found, refused.value.known) == (VERSION + 1, VERSION)


def test_tables_that_no_step_leads_from_are_named_and_left_alone(place: Place) -> None:
    columns = (
        Column(one.name, one.type, primary_key=one.primary_key) for one in FIRST.c if one.name != "gas"
    )
    write_first(place, table=Table("transactions", MetaData(), *columns))
    for _ in range(2):
        with pytest.raises(StorageTooOld, match=r"transactions\.gas"):
            place.open(TABLES)
