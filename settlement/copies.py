"""Copies of an SQLite database: taken while others write to it, checked page by page, kept in rotation.

A copy is one consistent moment of its source (SQLite's online backup). It is written beside, checked, synced
and renamed, so that whatever lies in a folder of copies was good when it was put there; its name carries the
digest of its bytes, so that one bit of it that changed since is noticed.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
import re
import sqlite3
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from settlement.errors import StorageCorrupt, StorageError, StorageFailed, StorageLost
from settlement.files import PRIVATE, sync_folder
from settlement.storage_faults import name_fault

KEPT: Final = 3
"""Copies in rotation: a fault that was copied before it was noticed leaves older ones."""
EVERY: Final = 3_600.0
"""Seconds from one copy to the next."""
_NAME: Final = re.compile(r"(\d+)-([0-9a-f]{32})\.db")
_BESIDE: Final = ("", "-journal", "-wal", "-shm")
"""What SQLite calls the files of one database."""
_ASIDE: Final = ".before-"
_SHARED: Final = (510, 0x4000_0002)
"""Length and place of the bytes that SQLite locks in the file of an open database (os_unix.c, SHARED)."""

log = logging.getLogger("tithebarn.storage")


def check_database(path: Path, *, thorough: bool = False) -> None:
    """Read every page of a database. Raises StorageCorrupt, or what else the disk says; a file must be there.

    At the speed of reading; `thorough`: also whether indexes agree with their tables. What a page says in
    its rows SQLite cannot know to be wrong.
    """
    pragma = "integrity_check" if thorough else "quick_check"
    try:
        with closing(_open(path)) as conn:
            (verdict,) = conn.execute(f"PRAGMA {pragma}(1)").fetchone()
    except sqlite3.Error as error:
        raise name_fault(str(path), error) from error
    if verdict != "ok":
        raise StorageCorrupt(str(path))


def copy_database(source: Path, target: Path) -> None:
    """Copy a database, in use or not, to the new file `target` (0600), checked and durable.

    Raises StorageError; then there is no `target`.
    """
    if target.exists():
        raise StorageFailed(str(target), "there is a file already")
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        with closing(_open(source)) as origin, closing(sqlite3.connect(target)) as copy:
            origin.backup(copy)
        check_database(target, thorough=True)
    except BaseException as error:
        _remove(target)
        match error:
            case sqlite3.Error():
                raise _name_fault(source, target, error) from error
            case OSError():
                raise StorageFailed(str(target), error.strerror or str(error)) from error
            case _:
                raise


def _name_fault(source: Path, target: Path, error: sqlite3.Error) -> BaseException:
    """Tell which of the two is to blame: one that cannot be read, or a disk that does not take the other."""
    blamed = source if isinstance(name_fault(str(source), error), StorageCorrupt) else target
    return name_fault(str(blamed), error)


def set_aside(path: Path, mark: int) -> None:
    """Rename what there is of a database to `<name>.before-<mark>`: its file, and every log beside it.

    A log without its file too: SQLite would play it back into whatever file comes into that place. The file
    goes first, so that being killed leaves a log alone (which is StorageLost), not books of an earlier day.
    """
    for suffix in _BESIDE:
        found = path.with_name(path.name + suffix)
        if found.exists():
            found.rename(found.with_name(f"{found.name}{_ASIDE}{mark}"))
    sync_folder(path.parent)


def in_use(path: Path) -> bool:
    """Tell whether another process has this database open. OSError as the system reports it."""
    if not path.exists():
        return False
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *_SHARED)
        except (BlockingIOError, PermissionError):
            return True
    return False


class Copies:
    """The newest copies of one database in a folder, `<number>-<digest>.db` each, numbers rising."""

    def __init__(self, source: Path, folder: Path, kept: int = KEPT) -> None:
        self._source = source
        self._folder = folder
        self._kept = kept

    def check_source(self) -> None:
        """Check the database, which need not be there yet. Raises StorageCorrupt, StorageLost.

        Lost is what has copies and no file, or only a log: removed, or a restore was killed on its way.
        """
        if self._source.exists() and self._source.stat().st_size:
            check_database(self._source)
        elif self.list():
            raise StorageLost(str(self._source), str(self._folder))
        elif traces := self._traces():
            raise StorageLost(str(self._source), " and ".join(traces))

    def list(self) -> list[Path]:
        """The copies, newest first."""
        found = [path for path in self._folder.glob("*.db") if _NAME.fullmatch(path.name)]
        return sorted(found, key=_number, reverse=True)

    def _traces(self) -> tuple[str, ...]:
        """Name what shows that there was a database: its log, or what a restore has set aside."""
        name, folder = self._source.name, self._source.parent
        logs = [folder / f"{name}{suffix}" for suffix in _BESIDE if suffix in ("-wal", "-journal")]
        left = [log for log in logs if log.exists() and log.stat().st_size]
        return tuple(str(path) for path in (*left, *sorted(folder.glob(f"{name}*{_ASIDE}*"))))

    def take(self) -> Path:
        """Take another copy, and forget the oldest beyond those kept. Raises StorageError, OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        before = self.list()
        number = _number(before[0]) + 1 if before else 1
        unfinished = self._folder / f".{number}.part"
        _remove(unfinished)
        copy_database(self._source, unfinished)
        place = self._folder / f"{number}-{_digest(unfinished)}.db"
        unfinished.replace(place)
        sync_folder(self._folder)
        for old in [place, *before][self._kept :]:
            old.unlink(missing_ok=True)
        return place

    def newest_good(self) -> Path | None:
        """The newest copy that is byte for byte what it was when it was checked."""
        for path in self.list():
            with suppress(OSError):  # parts of it may not be readable any more
                if path.stem.endswith(_digest(path)):
                    return path
        return None


async def keep_copies(copies: Copies, seconds: float = EVERY) -> None:
    """Take a copy now unless the newest is younger than `seconds`, and so on, until cancelled.

    What goes wrong is logged: a full disk must not end the program that works.
    """
    while True:
        try:
            await asyncio.sleep(_due_in(copies, seconds))
            place = await asyncio.to_thread(copies.take)
            log.info("database_copied copy=%s", place)
        except (StorageError, OSError) as error:
            log.error("database_not_copied reason=%s", error)  # noqa: TRY400 - the sentence says it all
            await asyncio.sleep(seconds)


def _due_in(copies: Copies, seconds: float) -> float:
    newest = copies.list()[:1]
    age = time.time() - newest[0].stat().st_mtime if newest else seconds
    return max(0.0, seconds - age)


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16)).hexdigest()


def _remove(path: Path) -> None:
    """Remove a database, with what SQLite may have left beside it."""
    for suffix in _BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    """Open a database that exists, for reading; its log may need a writer's rights to be read."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
