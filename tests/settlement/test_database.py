"""The database: durability of what was acknowledged, isolation of what failed, named faults of the disk."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, SQLModel

from payments.types import MAX_AMOUNT, Amount
from settlement.database import AmountColumn, Database
from settlement.errors import StorageClosed, StorageCorrupt, StorageFailed, StorageFull, StorageReadOnly
from settlement.tables import table
from tests.databases import Place

MANY = 300


class Entry(SQLModel, table=True):
    __tablename__ = "test_entries"
    id: int = Field(primary_key=True)
    amount: int = Field(sa_type=AmountColumn)


def put(number: int, amount: int = 1) -> Callable[[Connection], int]:
    def work(conn: Connection) -> int:
        conn.execute(insert(Entry), {"id": number, "amount": Amount(amount)})
        return number

    return work


def numbers(database: Database) -> list[int]:
    return database.read(lambda conn: [row.id for row in conn.execute(select(Entry).order_by(text("id")))])


def scalar(conn: Connection, query: str) -> Any:  # noqa: ANN401 - whatever the query gives
    return conn.exec_driver_sql(query).scalar_one()


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open([Entry])
    yield opened
    opened.close()


@pytest.fixture
def in_file(tmp_path: Path) -> Iterator[Database]:
    opened = Database.at(tmp_path / "money.db", [Entry])
    yield opened
    opened.close()


def test_amounts_beyond_64_bits_come_back_exact_and_in_order(database: Database) -> None:
    amounts = [MAX_AMOUNT, 0, 2**64, 2**63, 255, 256]
    for index, amount in enumerate(amounts):
        database.write_sync(put(index, amount))
    column = table(Entry).c.amount
    query = select(column).order_by(column)
    assert database.read(lambda conn: list(conn.scalars(query))) == sorted(amounts)


def test_the_writer_syncs_every_commit_to_disk(in_file: Database) -> None:
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    for name, value in pragmas.items():
        assert in_file.write_sync(partial(scalar, query=f"PRAGMA {name}")) == value


def test_many_waiting_writers_share_a_commit(database: Database) -> None:
    commits: list[Connection] = []
    event.listen(database._writer_engine, "commit", commits.append)

    async def story() -> None:
        gate = threading.Event()
        first = asyncio.create_task(database.write(lambda _conn: gate.wait()))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(database.write(put(number))) for number in range(MANY)]
        await asyncio.sleep(0.05)
        gate.set()
        assert await first
        assert await asyncio.gather(*rest) == list(range(MANY))

    asyncio.run(story())
    assert numbers(database) == list(range(MANY))
    assert len(commits) == 2


def test_a_failing_function_undoes_only_its_own_changes(database: Database) -> None:
    def half(conn: Connection) -> None:
        conn.execute(insert(Entry), {"id": 1000, "amount": Amount(1)})
        raise KeyError("half done")

    async def story() -> list[object]:
        works = [put(1), half, put(1), put(2)]
        return await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)

    first, second, third, fourth = asyncio.run(story())
    assert (first, fourth) == (1, 2)
    assert isinstance(second, KeyError)
    assert isinstance(third, IntegrityError)
    assert numbers(database) == [1, 2]


def test_write_works_from_several_event_loops_and_plain_threads_at_once(database: Database) -> None:
    def in_loop(base: int) -> None:
        async def story() -> None:
            await asyncio.gather(*(database.write(put(base + i)) for i in range(20)))

        asyncio.run(story())

    def plain(base: int) -> None:
        for i in range(20):
            database.write_sync(put(base + i))

    threads = [threading.Thread(target=in_loop, args=(100 * i,)) for i in range(3)]
    threads += [threading.Thread(target=plain, args=(100 * i,)) for i in range(3, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers(database)) == 120


def test_a_cancelled_caller_leaves_the_database_usable(database: Database) -> None:
    async def story() -> None:
        gate = threading.Event()
        blocked = asyncio.create_task(database.write(lambda _conn: gate.wait()))
        cancelled = asyncio.create_task(database.write(put(1)))
        await asyncio.sleep(0.02)
        cancelled.cancel()
        gate.set()
        await blocked
        assert await database.write(put(2)) == 2

    asyncio.run(story())
    assert 2 in numbers(database)


def test_reading_connections_cannot_write(database: Database) -> None:
    with pytest.raises(StorageReadOnly):
        database.read(put(1))
    assert numbers(database) == []


def test_a_read_sees_one_snapshot(database: Database) -> None:
    def twice(conn: Connection) -> tuple[int, int]:
        count = "SELECT count(*) FROM test_entries"
        before = scalar(conn, count)
        database.write_sync(put(7))
        return before, scalar(conn, count)

    assert database.read(twice) == (0, 0)
    assert numbers(database) == [7]


def test_opening_twice_keeps_rows_and_tables(place: Place, database: Database) -> None:
    database.write_sync(put(5))
    again = place.open([Entry])
    assert numbers(again) == [5]
    again.close()
    again.close()


def test_close_commits_what_is_queued_and_refuses_what_comes_later(place: Place, database: Database) -> None:
    async def story() -> None:
        queued = [asyncio.create_task(database.write(put(i))) for i in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(database.close)
        await asyncio.gather(*queued)

    asyncio.run(story())
    with pytest.raises(StorageClosed):
        database.write_sync(put(99))
    with pytest.raises(StorageClosed):
        numbers(database)
    again = place.open([Entry])
    assert numbers(again) == list(range(50))
    again.close()


def test_a_full_database_is_named_and_writing_goes_on_when_there_is_room(in_file: Database) -> None:
    def limit(conn: Connection) -> None:
        pages = scalar(conn, "PRAGMA page_count")
        conn.exec_driver_sql(f"PRAGMA max_page_count={pages + 4}")

    in_file.write_sync(limit)

    def big(conn: Connection) -> None:
        conn.execute(insert(Entry), [{"id": i, "amount": Amount(i)} for i in range(1000, 9000)])

    assert in_file.write_sync(put(1)) == 1
    with pytest.raises(StorageFull) as caught:
        in_file.write_sync(big)
    assert caught.value.code == "STORAGE_FULL"
    assert numbers(in_file) == [1]
    in_file.write_sync(big)
    assert len(numbers(in_file)) == 8001


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "money.db").write_bytes(b"not a database " * 1000)
    with pytest.raises(StorageCorrupt):
        Database.at(tmp_path / "money.db", [Entry])


def test_a_database_that_cannot_be_opened_for_want_of_room_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "money.db").mkdir()  # for SQLite as good as a file that it cannot make
    room = os.statvfs(tmp_path)
    full = SimpleNamespace(f_bavail=0)
    monkeypatch.setattr("settlement.storage_faults.os.statvfs", lambda _: full)
    with pytest.raises(StorageFull):
        Database.at(tmp_path / "money.db", [Entry])
    monkeypatch.setattr("settlement.storage_faults.os.statvfs", lambda _: room)
    with pytest.raises(StorageFailed, match="unable to open"):
        Database.at(tmp_path / "money.db", [Entry])


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="unable to open"):
        Database.at(tmp_path / "nowhere" / "money.db", [Entry])


CHILD = """
import asyncio, os, sys
from pathlib import Path
from types import SimpleNamespace
from sqlmodel import Field, SQLModel
from sqlalchemy import insert
from settlement.database import Database

class Row(SQLModel, table=True):
    id: int = Field(primary_key=True)
    filler: bytes

path, mode = Path(sys.argv[1]), sys.argv[2]
"""

ACKNOWLEDGE = (
    CHILD
    + """
async def writer(database, base):
    for number in range(base, base + 10**6):
        await database.write(lambda conn: conn.execute(insert(Row), {"id": number, "filler": bytes(100)}))
        os.write(1, b"%d\\n" % number)

async def main():
    database = Database.at(path, [Row])
    if mode == "limit":
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    await asyncio.gather(*(writer(database, base * 10**7) for base in range(10)))

try:
    asyncio.run(main())
except Exception as err:
    os.write(2, type(err).__name__.encode())
    os._exit(3)
"""
)


def rows_of(path: Path) -> set[int]:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = {row[0] for row in connection.execute("SELECT id FROM row")}
    connection.close()
    return found


def test_every_acknowledged_row_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "money.db"
    for _ in range(3):
        path.unlink(missing_ok=True)
        child = subprocess.Popen([sys.executable, "-c", ACKNOWLEDGE, path, "kill"], stdout=subprocess.PIPE)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(500)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        acknowledged = {int(line) for line in lines if line.endswith(b"\n")}
        assert len(acknowledged) >= 500
        assert acknowledged <= rows_of(path)


def test_a_torn_write_at_the_end_of_the_log_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with closing(Database.at(tmp_path / "money.db", [Entry])) as database:
        for number in range(20):
            database.write_sync(put(number))
        before = {name: (tmp_path / name).read_bytes() for name in ("money.db", "money.db-wal")}
        database.write_sync(put(20))
        added = (tmp_path / "money.db-wal").read_bytes()[len(before["money.db-wal"]) :]
    assert added
    for cut in range(0, len(added) + 1, 509):
        torn = tmp_path / f"torn {cut}.db"
        torn.write_bytes(before["money.db"])
        log = torn.with_name(torn.name + "-wal")
        log.write_bytes(before["money.db-wal"] + added[:cut] + b"\xa5" * 700)
        with closing(Database.at(torn, [Entry])) as found:
            assert numbers(found)[:20] == list(range(20))


def test_a_write_the_system_refuses_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "money.db"
    done = subprocess.run(
        [sys.executable, "-c", ACKNOWLEDGE, path, "limit"], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (3, b"StorageFailed")
    acknowledged = {int(line) for line in done.stdout.splitlines()}
    assert acknowledged
    assert acknowledged <= rows_of(path)


READ_ONLY = (
    CHILD
    + """
import tempfile
with tempfile.TemporaryDirectory() as warm:
    Database.at(Path(warm) / "warm.db", [Row]).close()
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    Database.at(path, [Row])
except Exception as err:
    print(type(err).__name__)
"""
)


@pytest.mark.parametrize("existing", [False, True])
def test_a_read_only_directory_is_named(*, existing: bool) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "money.db"
        if existing:
            Database.at(path, [Entry]).close()
            path.chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, path, ""], capture_output=True, check=False, timeout=60
        )
        assert done.stdout.decode().strip() == "StorageReadOnly", done.stderr.decode()
    finally:
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
