"""PostgreSQL as a database for money: what it must promise, and what its faults are called."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Connection, insert, select
from sqlmodel import Field, SQLModel

from settlement.database import Database
from settlement.errors import StorageBusy, StorageNotDurable, StorageReadOnly, StorageUnreachable
from settlement.tables import table
from tests.databases import Kind, Place, place_of
from tests.postgresql import Server


class Paid(SQLModel, table=True):
    __tablename__ = "test_paid"
    id: int = Field(primary_key=True)


def pay(conn: Connection, number: int) -> int:
    conn.execute(insert(Paid), {"id": number})
    return number


def paid(database: Database) -> list[int]:
    column = table(Paid).c.id
    return database.read(lambda conn: list(conn.scalars(select(column).order_by(column))))


def scalar(conn: Connection, query: str) -> str:
    return str(conn.exec_driver_sql(query).scalar_one())


@pytest.fixture(params=[Kind.POSTGRESQL])
def place(request: pytest.FixtureRequest) -> Place:
    return place_of(request)


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open([Paid])
    yield opened
    opened.close()


def test_a_commit_waits_for_the_disk_whatever_the_role_is_set_to(place: Place) -> None:
    hasty = Place(place.url + "&options=-csynchronous_commit%3Doff", place.schema)
    database = hasty.open([Paid])
    assert database.write_sync(partial(scalar, query="SHOW synchronous_commit")) == "on"
    database.close()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_wait_for_the_disk_is_refused(
    place: Place, postgresql: Server, setting: str
) -> None:
    postgresql.configure(setting, "off")
    try:
        with pytest.raises(StorageNotDurable, match=setting):
            place.open([Paid])
    finally:
        postgresql.configure(setting, "on")


def test_schemas_of_one_server_are_separate_books(place: Place, postgresql: Server) -> None:
    first, second = place.open([Paid]), Place(place.url, postgresql.fresh_schema()).open([Paid])
    first.write_sync(partial(pay, number=1))
    assert (paid(first), paid(second)) == ([1], [])
    first.close()
    second.close()


def test_two_programs_write_one_after_the_other(place: Place, database: Database) -> None:
    """Check, then write is one step: otherwise both would see no row, and write it."""
    other = place.open([Paid])
    looked, go_on = threading.Event(), threading.Event()

    def check_then_pay(conn: Connection) -> bool:
        known = conn.execute(select(table(Paid).c.id)).first() is not None
        looked.set()
        go_on.wait(5)
        if not known:
            pay(conn, 7)
        return known

    async def story() -> list[bool]:
        first = asyncio.create_task(database.write(check_then_pay))
        await asyncio.to_thread(looked.wait)
        second = asyncio.create_task(other.write(check_then_pay))
        await asyncio.sleep(0.1)
        go_on.set()
        return [await first, await second]

    assert asyncio.run(story()) == [False, True]
    other.close()


def test_another_program_that_never_ends_its_write_is_named(
    place: Place, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlement.database.BUSY_TIMEOUT_MS", 50)
    held, done = threading.Event(), threading.Event()
    impatient = place.open([Paid])

    def hold(_: Connection) -> None:
        held.set()
        done.wait(10)

    blocker = threading.Thread(target=database.write_sync, args=(hold,))
    blocker.start()
    held.wait()
    with pytest.raises(StorageBusy):
        impatient.write_sync(partial(pay, number=1))
    done.set()
    blocker.join()
    assert impatient.write_sync(partial(pay, number=1)) == 1
    impatient.close()


def test_reading_connections_cannot_write(database: Database) -> None:
    with pytest.raises(StorageReadOnly):
        database.read(partial(pay, number=1))


def test_a_crash_of_the_server_loses_nothing_acknowledged_and_writing_goes_on(
    database: Database, postgresql: Server
) -> None:
    acknowledged: list[int] = []
    crashed = threading.Event()

    async def writer(base: int, enough: asyncio.Event) -> None:
        for number in range(base, base + 10_000):
            if crashed.is_set():
                return
            acknowledged.append(await database.write(partial(pay, number=number)))
            if len(acknowledged) == 200:
                enough.set()

    async def story() -> None:
        enough = asyncio.Event()
        writers = [asyncio.create_task(writer(base * 10_000, enough)) for base in range(5)]
        await enough.wait()
        await asyncio.to_thread(postgresql.crash)
        crashed.set()
        ends = await asyncio.gather(*writers, return_exceptions=True)
        assert {type(end) for end in ends} <= {StorageUnreachable, type(None)}

    asyncio.run(story())
    before = len(acknowledged)
    assert database.write_sync(partial(pay, number=10**6)) == 10**6
    assert before >= 200
    assert set(acknowledged) <= set(paid(database))


def test_a_server_that_restarted_meanwhile_is_not_noticed(database: Database, postgresql: Server) -> None:
    database.write_sync(partial(pay, number=1))
    assert paid(database) == [1]
    postgresql.crash()
    assert database.write_sync(partial(pay, number=2)) == 2
    assert paid(database) == [1, 2]


ACKNOWLEDGE = """
import asyncio, os, sys
from sqlalchemy import insert
from sqlmodel import Field, SQLModel
from settlement.database import Database

class Paid(SQLModel, table=True):
    __tablename__ = "test_paid"
    id: int = Field(primary_key=True)

async def writer(database, base):
    for number in range(base, base + 10**6):
        await database.write(lambda conn: conn.execute(insert(Paid), {"id": number}))
        os.write(1, b"%d\\n" % number)

async def main():
    database = Database(sys.argv[1], [Paid], schema=sys.argv[2])
    await asyncio.gather(*(writer(database, base * 10**7) for base in range(10)))

asyncio.run(main())
"""


def test_every_acknowledged_row_survives_kill_9_of_the_program(place: Place, database: Database) -> None:
    command = [sys.executable, "-c", ACKNOWLEDGE, place.url, str(place.schema)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(300)]
    child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    acknowledged = {int(line) for line in lines if line.endswith(b"\n")}
    assert len(acknowledged) >= 300
    assert acknowledged <= set(paid(database))


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StorageUnreachable) as caught:
        Database("postgresql://tithe:s3cret@127.0.0.1:1/books", [Paid])
    assert "127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)
