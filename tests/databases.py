"""Where a test's database may live: a SQLite file or a schema of PostgreSQL. The same tests hold for both."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest
from sqlmodel import SQLModel

from settlement.database import Database
from tests.postgresql import Server


class Kind(StrEnum):
    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True)
class Place:
    """One database; opened again it holds what it held."""

    url: str
    schema: str | None
    _opened: list[Database] = field(default_factory=list)

    def open(self, tables: Iterable[type[SQLModel]]) -> Database:
        self._opened.append(Database(self.url, tables, schema=self.schema))
        return self._opened[-1]

    def close(self) -> None:
        """Close what a test has left open."""
        for one in self._opened:
            one.close()


def place_of(request: pytest.FixtureRequest) -> Place:
    """A fresh place of the kind a fixture is given as its parameter, SQLite without."""
    if getattr(request, "param", Kind.SQLITE) is Kind.POSTGRESQL:
        server: Server = request.getfixturevalue("postgresql")
        return Place(server.url, server.fresh_schema())
    folder: Path = request.getfixturevalue("tmp_path")
    return Place(f"sqlite:///{folder / 'money.db'}", None)


on_both = pytest.mark.parametrize("place", list(Kind), indirect=True)
"""For single tests of a module whose `place` has no parameters of its own."""
