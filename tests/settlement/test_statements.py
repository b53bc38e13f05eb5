"""Hot statements say to the driver what SQLAlchemy would, one row at a time or many at once."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, LargeBinary, bindparam, insert, select, update
from sqlmodel import Field, SQLModel

from payments.types import Amount
from settlement.database import AmountColumn, Database
from settlement.statements import Statement
from settlement.tables import table
from tests.databases import Place


class Note(SQLModel, table=True):
    __tablename__ = "statement_note"

    name: bytes = Field(sa_type=LargeBinary, primary_key=True)
    total: int | None = Field(default=None, sa_type=AmountColumn)
    seen: int = 0


NOTES = table(Note)
ADD = Statement(insert(NOTES))
FIND = Statement(select(NOTES.c.total, NOTES.c.seen).where(NOTES.c.name == bindparam("key")))
AMONG = (
    select(NOTES.c.name, NOTES.c.total)
    .where(NOTES.c.name.in_(bindparam("names", expanding=True)))
    .order_by(NOTES.c.name)
)
FIND_AMONG = Statement(AMONG)
RAISE = Statement(update(NOTES).where(NOTES.c.name == bindparam("key")).values(total=bindparam("total")))


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open([Note])
    yield opened
    opened.close()


def test_amounts_beyond_64_bits_and_nothing_go_both_ways(database: Database) -> None:
    def work(conn: Connection) -> None:
        ADD(conn, name=b"a", total=Amount(2**96 - 1), seen=1)
        ADD(conn, name=b"b", total=None, seen=2)

    database.write_sync(work)
    assert database.read(lambda conn: FIND(conn, key=b"a")) == [(2**96 - 1, 1)]
    assert database.read(lambda conn: FIND(conn, key=b"b")) == [(None, 2)]
    assert database.read(lambda conn: FIND(conn, key=b"c")) == []


def test_many_rows_are_written_at_once(database: Database) -> None:
    def work(conn: Connection) -> None:
        ADD.many(conn, ({"name": bytes([n]), "total": Amount(n), "seen": 0} for n in range(5)))
        RAISE.many(conn, [{"key": b"\1", "total": Amount(100)}, {"key": b"\2", "total": Amount(200)}])
        RAISE.many(conn, [])

    database.write_sync(work)
    found = database.read(lambda conn: FIND_AMONG.among(conn, [b"\2", b"\0", b"\1", b"\x09"]))
    assert found == [(b"\0", 0), (b"\1", 100), (b"\2", 200)]
    assert database.read(lambda conn: FIND_AMONG.among(conn, [])) == []


def test_statement_finds_what_the_core_finds(database: Database) -> None:
    database.write_sync(lambda conn: ADD(conn, name=b"a", total=Amount(7), seen=1))
    core = AMONG.params(names=[b"a", b"b"])
    by_core = database.read(lambda conn: [tuple(row) for row in conn.execute(core)])
    assert by_core == database.read(lambda conn: FIND_AMONG.among(conn, [b"a", b"b"])) == [(b"a", 7)]
