"""Copies of an SQLite database: taken while others write to it, checked page by page, kept in rotation.

A copy is one consistent moment of its source (SQLite's online backup). It is written beside, checked, synced
and renamed, so that whatever lies in a folder of copies was good when it was put there.
"""

import asyncio
import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from settlement.errors import StorageCorrupt, StorageError, StorageFailed
from settlement.files import PRIVATE, sync_folder
from settlement.storage_faults import name_fault

KEPT: Final = 3
"""Copies in rotation: a fault that was copied before it was noticed leaves older ones."""
EVERY: Final = 3_600.0
"""Seconds from one copy to the next."""
_SUFFIX: Final = ".db"

log = logging.getLogger("tithebarn.storage")


def check_database(path: Path) -> None:
    """Read every page of a database. Raises StorageCorrupt, or what else the disk says; a file must be there.

    `PRAGMA quick_check`: everything but whether indexes agree with their tables, at the speed of reading.
    """
    try:
        with closing(_open(path)) as conn:
            (verdict,) = conn.execute("PRAGMA quick_check(1)").fetchone()
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
        check_database(target)
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise name_fault(str(source), error) from error
    except OSError as error:
        target.unlink(missing_ok=True)
        raise StorageFailed(str(target), error.strerror or str(error)) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class Copies:
    """The newest copies of one database in a folder, `<number>.db` each, numbers rising."""

    def __init__(self, source: Path, folder: Path, kept: int = KEPT) -> None:
        self._source = source
        self._folder = folder
        self._kept = kept

    def list(self) -> list[Path]:
        """The copies, newest first."""
        found = [path for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdigit()]
        return sorted(found, key=lambda path: int(path.stem), reverse=True)

    def take(self) -> Path:
        """Take another copy, and forget the oldest beyond those kept. Raises StorageError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        before = self.list()
        number = int(before[0].stem) + 1 if before else 1
        partial = self._folder / f".{number}.part"
        partial.unlink(missing_ok=True)
        copy_database(self._source, partial)
        place = self._folder / f"{number}{_SUFFIX}"
        partial.replace(place)
        sync_folder(self._folder)
        for old in [place, *before][self._kept :]:
            old.unlink(missing_ok=True)
        return place

    def newest_good(self) -> Path | None:
        """The newest copy without a damaged page."""
        for path in self.list():
            try:
                check_database(path)
            except StorageCorrupt:
                continue
            return path
        return None


async def keep_copies(copies: Copies, seconds: float = EVERY) -> None:
    """Take a copy now unless the newest is younger than `seconds`, and so on, until cancelled.

    What goes wrong is logged: a full disk must not end the program that works.
    """
    while True:
        newest = copies.list()[:1]
        age = time.time() - newest[0].stat().st_mtime if newest else seconds
        await asyncio.sleep(max(0.0, seconds - age))
        try:
            place = await asyncio.to_thread(copies.take)
            log.info("database_copied copy=%s", place)
        except (StorageError, OSError) as error:
            log.error("database_not_copied reason=%s", error)  # noqa: TRY400 - the sentence says it all
            await asyncio.sleep(seconds)


def _open(path: Path) -> sqlite3.Connection:
    """Open a database that exists, for reading; its log may need a writer's rights to be read."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
