"""Every fault settlement can name, as one tree.

    SettlementError
    +-- StorageError            the disk or the database refused
        +-- StorageFull, StorageReadOnly, StorageCorrupt, StorageBusy, StorageClosed, StorageFailed

Each error carries a machine-readable `code` (its name in upper snake case) and the offending values as
attributes.
"""
# ruff: noqa: N818 - an error is named by its fault, as the Solidity errors are

import re
from typing import ClassVar

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class SettlementError(Exception):
    """Base of all errors of this package."""

    code: ClassVar[str] = "SETTLEMENT_ERROR"

    def __init_subclass__(cls) -> None:
        """Derive the machine-readable code from the class name."""
        super().__init_subclass__()
        cls.code = _WORD_START.sub("_", cls.__name__).upper()


class StorageError(SettlementError):
    """The database could not do what was asked; nothing of the refused work was written."""

    def __init__(self, database: str, problem: str) -> None:
        self.database = database
        self.problem = problem
        super().__init__(f"{database}: {problem}")


class StorageFull(StorageError):
    """No room left on the disk."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "the disk is full; free some space and try again, nothing was written")


class StorageReadOnly(StorageError):
    """The database, or the directory it lives in, may not be written."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "not writable; check the owner and mode of the file and of its directory")


class StorageCorrupt(StorageError):
    """The file is no database or has a broken page."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "the database is damaged; restore it from its newest good copy")


class StorageBusy(StorageError):
    """Another process held the database for longer than the busy timeout."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "another process keeps the database locked; stop it or try again")


class StorageClosed(StorageError):
    """The database object was closed before this request."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "already closed")


class StorageFailed(StorageError):
    """The operating system reported an I/O error, or the file cannot be opened at all."""

    def __init__(self, database: str, detail: str) -> None:
        self.detail = detail
        super().__init__(database, f"the disk refused: {detail}")
