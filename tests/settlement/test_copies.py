"""Copies of a database: consistent beside a writer, checked, in rotation; faults of the disk are found."""

import asyncio
import logging
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert
from sqlmodel import Field, SQLModel

from settlement.copies import Copies, check_database, copy_database, in_use, keep_copies, set_aside
from settlement.database import Database
from settlement.errors import StorageCorrupt, StorageError, StorageFailed, StorageLost, StorageReadOnly
from settlement.tables import table
from tests.disks import files_of_at_most, folder_of_ours, leave_log, without_rights

PAGE = 4096
OVERWRITE = "UPDATE copied_note SET text = 'of the dead'"


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
    assert [path.name.partition("-")[0] for path in copies.list()] == ["4", "3"]
    assert set((tmp_path / "copies").iterdir()) == set(copies.list())


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


def test_full_disk_leaves_the_old_copy_and_the_program_goes_on(
    filled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    copies = Copies(filled, tmp_path / "copies")
    old, room = copies.take(), filled.stat().st_size // 2
    with files_of_at_most(room), pytest.raises(StorageError):
        copies.take()
    assert list((tmp_path / "copies").iterdir()) == [old]

    async def story() -> None:
        database = Database.at(filled, [Note])
        keeping = asyncio.create_task(keep_copies(copies, seconds=0.02))
        with files_of_at_most(room):
            async with asyncio.timeout(30):
                while caplog.text.count("database_not_copied") < 2:  # noqa: ASYNC110 - a log line raises no event
                    await asyncio.sleep(0.01)
            await database.write(lambda conn: write(conn, 500, 1))
            assert copies.list() == [old]
            assert copies.newest_good() == old
        async with asyncio.timeout(30):
            while copies.list() == [old]:  # noqa: ASYNC110 - a file tells nobody that it appears
                await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.to_thread(database.close)

    asyncio.run(story())
    assert count(copies.list()[0]) == 501


def test_copies_in_a_folder_that_became_read_only_stay_and_can_be_used() -> None:
    with folder_of_ours() as folder:
        money = folder / "money.db"
        with closing(Database.at(money, [Note])) as database:
            database.write_sync(lambda conn: write(conn, 0, 10))
        copies = Copies(money, folder / "copies")
        copy = copies.take()
        copy.chmod(0o444)
        for place in (folder / "copies", folder):
            place.chmod(0o555)
        with without_rights():
            with pytest.raises(StorageError, match=r"not writable|Permission"):
                copies.take()
            assert copies.list() == [copy]
        assert copies.newest_good() == copy


@pytest.mark.parametrize("kept", [0, 1, 100, PAGE, 3 * PAGE, -PAGE, -1])
def test_torn_copy_is_never_taken_for_good(filled: Path, tmp_path: Path, kept: int) -> None:
    copies = Copies(filled, tmp_path / "copies")
    whole, torn = copies.take(), copies.take()
    torn.write_bytes(torn.read_bytes()[:kept])
    assert copies.newest_good() == whole


def test_one_wrong_bit_in_a_row_of_a_copy_is_noticed(filled: Path, tmp_path: Path) -> None:
    copies = Copies(filled, tmp_path / "copies")
    whole, changed = copies.take(), copies.take()
    content = changed.read_bytes()
    changed.write_bytes(content.replace(b"note 77 ", b"note 76 ", 1))
    check_database(changed)  # SQLite cannot know
    assert copies.newest_good() == whole


def test_what_a_killed_copy_has_left_behind_is_swept_away(filled: Path, tmp_path: Path) -> None:
    copies = Copies(filled, tmp_path / "copies")
    (tmp_path / "copies").mkdir()
    for suffix in ("", "-journal", "-wal", "-shm"):
        (tmp_path / "copies" / f".1.part{suffix}").write_bytes(b"\xd9\xd5\x05\xf9 half a page" * 100)
    assert copies.list() == []
    assert count(copies.take()) == 500
    assert list((tmp_path / "copies").iterdir()) == copies.list()


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "empty"])
def test_books_of_which_only_copies_are_left_are_not_begun_anew(
    filled: Path, tmp_path: Path, *, gone: bool
) -> None:
    copies = Copies(filled, tmp_path / "copies")
    copies.check_source()
    copy = copies.take()
    filled.unlink()
    if not gone:
        filled.touch()
    with pytest.raises(StorageLost, match="newest copy, or move"):
        copies.check_source()
    copy.unlink()
    copies.check_source()  # a first start that was killed leaves as much


def test_index_that_does_not_fit_its_table_is_not_copied(tmp_path: Path) -> None:
    source = tmp_path / "money.db"
    with closing(sqlite3.connect(source)) as conn:
        conn.execute("CREATE TABLE earned (channel INTEGER PRIMARY KEY, total INTEGER)")
        conn.execute("CREATE INDEX i ON earned (total)")
        conn.execute("INSERT INTO earned VALUES (1, 7)")
        conn.commit()
        conn.execute("PRAGMA writable_schema = 1")
        conn.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX i ON earned (-total)' WHERE name = 'i'")
        conn.commit()
    check_database(source)
    with pytest.raises(StorageCorrupt):
        copy_database(source, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("gone", [True, False], ids=["only its log is left", "whole"])
def test_books_set_aside_take_their_log_along(filled: Path, tmp_path: Path, *, gone: bool) -> None:
    copy_database(filled, tmp_path / "good")
    leave_log(filled, OVERWRITE)
    if gone:
        filled.unlink()
    set_aside(filled, 7)
    shutil.copyfile(tmp_path / "good", filled)
    with closing(sqlite3.connect(filled)) as conn:
        assert conn.execute("SELECT count(*) FROM copied_note WHERE text = 'of the dead'").fetchone() == (0,)
    assert count(filled) == 500
    assert (tmp_path / "money.db-wal.before-7").stat().st_size
    assert (tmp_path / "money.db.before-7").exists() is not gone


def test_log_without_its_books_is_not_begun_anew(filled: Path, tmp_path: Path) -> None:
    copies = Copies(filled, tmp_path / "copies")
    leave_log(filled, OVERWRITE)
    filled.unlink()
    with pytest.raises(StorageLost, match=r"move .*money\.db-wal away"):
        copies.check_source()


def test_restore_killed_before_it_put_the_books_back_is_not_begun_anew(filled: Path, tmp_path: Path) -> None:
    set_aside(filled, 7)
    with pytest.raises(StorageLost, match=r"move .*money\.db\.before-7 away"):
        Copies(filled, tmp_path / "copies").check_source()


def test_database_that_another_process_has_open_is_in_use(filled: Path, tmp_path: Path) -> None:
    assert not in_use(tmp_path / "nothing")
    assert not in_use(filled)
    code = "import sys; from pathlib import Path; from settlement.database import Database;"
    code += "Database.at(Path(sys.argv[1]), []); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(filled)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"open\n"
        assert in_use(filled)
        other.stdin.close()
    assert not in_use(filled)
