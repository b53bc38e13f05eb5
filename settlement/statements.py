"""A Statement: SQLAlchemy Core, compiled once and executed by the database driver itself.

Core's own `execute` costs 50 to 75 microseconds a statement on the machine where this was written, the
driver's 9 to 11; the path of a voucher has to do three in a hundred. Types are converted as Core would.
"""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Delete, Insert, Select, Update
from sqlalchemy.engine import Dialect

Converter = Callable[[Any], Any] | None


class _Compiled:
    """The statement in one dialect: text, parameters in order with their converters, result converters."""

    def __init__(self, core: Any, dialect: Dialect) -> None:  # noqa: ANN401 - any Core statement
        compiled = core.compile(dialect=dialect)
        self.text: str = str(compiled)
        self.named: bool = not compiled.positional
        names = list(compiled.binds) if self.named else list(compiled.positiontup)
        self.fixed = {name: bound.value for name, bound in compiled.binds.items() if bound.value is not None}
        self.parameters: list[tuple[str, Converter]] = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names
        ]
        columns = core.selected_columns if isinstance(core, Select) else ()
        self.results: list[Converter] = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]


class Statement:
    """A Core statement whose open values are `bindparam`s, called with them as keywords.

    Within a `Database.write` or `read` only. The driver's own errors come through, not SQLAlchemy's.
    """

    def __init__(self, core: Select[Any] | Insert | Update | Delete) -> None:
        self._core: Final = core
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, conn: Connection, **values: object) -> list[tuple[Any, ...]]:
        """Execute; the rows of a query, nothing otherwise."""
        compiled = self._compiled.get(conn.dialect.name)
        if compiled is None:
            compiled = self._compiled[conn.dialect.name] = _Compiled(self._core, conn.dialect)
        given = compiled.fixed | values
        bound = [
            given[name] if convert is None else convert(given[name]) for name, convert in compiled.parameters
        ]
        cursor = conn.connection.cursor()
        if compiled.named:
            names = (name for name, _ in compiled.parameters)
            cursor.execute(compiled.text, dict(zip(names, bound, strict=True)))
        else:
            cursor.execute(compiled.text, bound)
        if not compiled.results:
            return []
        return [
            tuple(
                value if convert is None else convert(value)
                for value, convert in zip(row, compiled.results, strict=True)
            )
            for row in cursor.fetchall()
        ]
