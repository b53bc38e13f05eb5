"""What went wrong with a database's file: faults of SQLite as errors of our tree."""

import os
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from settlement.errors import (
    StorageBusy,
    StorageCorrupt,
    StorageFailed,
    StorageFull,
    StorageReadOnly,
)

_BY_SQLITE_CODE: Final = {
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_READONLY: StorageReadOnly,
    sqlite3.SQLITE_CORRUPT: StorageCorrupt,
    sqlite3.SQLITE_NOTADB: StorageCorrupt,
    sqlite3.SQLITE_BUSY: StorageBusy,
    sqlite3.SQLITE_LOCKED: StorageBusy,
}


def name_fault(database: str, err: BaseException) -> BaseException:
    """Translate a fault of disk or file into our tree; leave all others as they are."""
    orig = err.orig if isinstance(err, DBAPIError) else err
    code = getattr(orig, "sqlite_errorcode", 0) & 0xFF
    if code in _BY_SQLITE_CODE:
        return _BY_SQLITE_CODE[code](database)
    if code not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        return err
    folder = Path(database).parent
    if folder.is_dir() and not os.access(folder, os.W_OK):
        return StorageReadOnly(database)
    if folder.is_dir() and not os.statvfs(folder).f_bavail:
        return StorageFull(database)  # without room SQLite cannot even open its index of the log
    return StorageFailed(database, str(orig))
