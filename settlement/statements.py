"""A Statement: SQLAlchemy Core, compiled once and executed by the database driver itself.

Core's own `execute` costs 50 to 75 microseconds a statement on the machine where this was written, the
driver's 4 to 6; the path of a voucher has to do five in a hundred. Types are converted as Core would, except
that bytes go to the driver, and come from it, as they are: SQLite's and psycopg's take and give `bytes`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Delete, Insert, LargeBinary, Select, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from settlement.database import AmountColumn, pack_amount, unpack_amount

Converter = Callable[[Any], Any]


class _Compiled:
    """The statement in one dialect: text, parameters in order, and what needs converting where."""

    def __init__(self, core: Any, dialect: Dialect) -> None:  # noqa: ANN401 - any Core statement
        compiled = core.compile(dialect=dialect)
        self.text: str = str(compiled)
        self.named: bool = not compiled.positional
        self.names: list[str] = list(compiled.binds) if self.named else list(compiled.positiontup)
        self.fixed = {name: bound.value for name, bound in compiled.binds.items() if bound.value is not None}
        types = [compiled.binds[name].type for name in self.names]
        columns = core.selected_columns if isinstance(core, Select) else ()
        self.bind = [(at, to) for at, type_ in enumerate(types) if (to := _binder(type_, dialect))]
        self.read = [(at, to) for at, column in enumerate(columns) if (to := _reader(column.type, dialect))]
        self.query = bool(columns)

    def spread(self, holders: str) -> str:
        """The text of a query over a list, with these placeholders for it."""
        return self.text.replace(f"__[POSTCOMPILE_{self.names[0]}]", holders)

    def bound(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the driver takes
        """The parameters as the driver wants them."""
        given = {**self.fixed, **values} if self.fixed else values
        bound = [given[name] for name in self.names]
        for at, convert in self.bind:
            bound[at] = convert(bound[at])
        return dict(zip(self.names, bound, strict=True)) if self.named else bound


class Statement:
    """A Core statement whose open values are `bindparam`s, called with them as keywords.

    Within a `Database.write` or `read` only. The driver's own errors come through, not SQLAlchemy's.
    """

    def __init__(self, core: Select[Any] | Insert | Update | Delete) -> None:
        self._core: Final = core
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, conn: Connection, **values: object) -> list[tuple[Any, ...]]:
        """Execute; the rows of a query, nothing otherwise."""
        compiled = self._in(conn)
        cursor = conn.connection.cursor()
        cursor.execute(compiled.text, compiled.bound(values))
        return [_convert(row, compiled.read) for row in cursor.fetchall()] if compiled.query else []

    def among(self, conn: Connection, keys: Collection[object]) -> list[tuple[Any, ...]]:
        """Execute a query whose one open value is a list, `column.in_(bindparam(name, expanding=True))`."""
        if not keys:
            return []
        compiled = self._in(conn)
        (name,) = compiled.names
        convert = dict(compiled.bind).get(0)
        values = [convert(key) for key in keys] if convert else list(keys)
        cursor = conn.connection.cursor()
        if compiled.named:
            given = {f"{name}_{at}": value for at, value in enumerate(values)}
            cursor.execute(compiled.spread(", ".join(f"%({one})s" for one in given)), given)
        else:
            cursor.execute(compiled.spread(", ".join("?" * len(values))), values)
        return [_convert(row, compiled.read) for row in cursor.fetchall()]

    def many(self, conn: Connection, rows: Iterable[Mapping[str, object]]) -> None:
        """Execute a statement that writes once for each row of values."""
        compiled = self._in(conn)
        if bound := [compiled.bound(row) for row in rows]:
            conn.connection.cursor().executemany(compiled.text, bound)

    def _in(self, conn: Connection) -> _Compiled:
        compiled = self._compiled.get(conn.dialect.name)
        if compiled is None:
            compiled = self._compiled[conn.dialect.name] = _Compiled(self._core, conn.dialect)
        return compiled


def _convert(row: tuple[Any, ...], converters: list[tuple[int, Converter]]) -> tuple[Any, ...]:
    values = list(row)
    for at, convert in converters:
        values[at] = convert(values[at])
    return tuple(values)


def _binder(type_: TypeEngine[Any], dialect: Dialect) -> Converter | None:
    if isinstance(type_, AmountColumn):
        return pack_amount
    if isinstance(type_, LargeBinary):
        return None
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _reader(type_: TypeEngine[Any], dialect: Dialect) -> Converter | None:
    if isinstance(type_, AmountColumn):
        return unpack_amount
    if isinstance(type_, LargeBinary):
        return None
    return type_.dialect_impl(dialect).result_processor(dialect, None)
