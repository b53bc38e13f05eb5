"""Copies of a database: consistent beside a writer, checked, in rotation; a damaged page is found."""

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert
from sqlmodel import Field, SQLModel

from settlement.copies import Copies, check_database, copy_database, keep_copies
from settlement.database import Database
from settlement.errors import StorageCorrupt, StorageError, StorageFailed, StorageReadOnly
from settlement.tables import table

PAGE = 4096


class Note(SQLModel, table=True):
    __tablename__ = "copied_note"
    id: int = Field(primary_key=True)
    text: str


def write(conn: Connection, first: int, count: int) -> None:
    rows = [{"id": first + i, "text": f"note {first + i} " * 20} for i in range(count)]
    conn.execute(insert(table(Note)), rows)


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        return int(conn.execute("SELECT count(*) FROM copied_note").fetchone()[0])


def damage(path: Path) -> None:
    """Overwrite a page in the middle, as a failing disk does."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // PAGE // 2 * PAGE)
        file.write(b"\xa5" * PAGE)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "money.db"
    with closing(Database.at(path, [Note])) as database:
        database.write_sync(lambda conn: write(conn, 0, 500))
    return path


def test_copy_has_all_that_was_committed_though_the_database_is_in_use(tmp_path: Path) -> None:
    source, target = tmp_path / "money.db", tmp_path / "copy.db"

    async def story() -> None:
        database = Database.at(source, [Note])
        await database.write(lambda conn: write(conn, 0, 100))
        writing = asyncio.gather(
            *(database.write(partial(write, first=1_000 * n, count=50)) for n in range(1, 20))
        )
        await asyncio.to_thread(copy_database, source, target)
        await writing
        await asyncio.to_thread(database.close)

    asyncio.run(story())
    assert count(target) >= 100
    assert count(target) % 50 == 0
    assert count(source) == 100 + 19 * 50
    assert target.stat().st_mode & 0o777 == 0o600


def test_copy_replaces_nothing(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(StorageFailed, match="a file already"):
        copy_database(filled, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


def test_damaged_page_is_found(filled: Path) -> None:
    check_database(filled)
    damage(filled)
    with pytest.raises(StorageCorrupt):
        check_database(filled)


def test_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "money.db").write_bytes(b"not a database at all" * 500)
    with pytest.raises(StorageCorrupt):
        check_database(tmp_path / "money.db")


def test_damaged_database_is_not_copied_over_good_copies(filled: Path, tmp_path: Path) -> None:
    copies = Copies(filled, tmp_path / "copies")
    good = copies.take()
    damage(filled)
    with pytest.raises(StorageError):
        copies.take()
    assert copies.list() == [good]
    assert copies.newest_good() == good
    assert count(good) == 500


def test_newest_good_copy_is_taken_when_the_newest_is_damaged(filled: Path, tmp_path: Path) -> None:
    copies = Copies(filled, tmp_path / "copies")
    older, newer = copies.take(), copies.take()
    damage(newer)
    assert copies.list() == [newer, older]
    assert copies.newest_good() == older
    damage(older)
    assert copies.newest_good() is None


def test_only_the_newest_copies_are_kept(filled: Path, tmp_path: Path) -> None:
    copies = Copies(filled, tmp_path / "copies", kept=2)
    for _ in range(4):
        copies.take()
    assert [path.name for path in copies.list()] == ["4.db", "3.db"]
    assert sorted(path.name for path in (tmp_path / "copies").iterdir()) == ["3.db", "4.db"]


def test_folder_that_may_not_be_written_is_named(filled: Path, tmp_path: Path) -> None:
    with pytest.raises((StorageFailed, StorageReadOnly), match="nowhere"):
        copy_database(filled, tmp_path / "nowhere" / "copy.db")


def test_copies_are_taken_by_themselves_while_the_program_runs(filled: Path, tmp_path: Path) -> None:
    copies = Copies(filled, tmp_path / "copies")

    async def story() -> None:
        keeping = asyncio.create_task(keep_copies(copies, seconds=0.05))
        async with asyncio.timeout(30):
            while len(copies.list()) < 2:  # noqa: ASYNC110 - a file tells nobody that it appears
                await asyncio.sleep(0.01)
        keeping.cancel()

    asyncio.run(story())
    assert count(copies.list()[0]) == 500
