"""What a command shows: tables and sentences for people, or one JSON document for programs.

Results go to stdout; progress, notes and questions go to stderr, progress only where that is a terminal. In
JSON amounts are decimal strings of base units, bytes are 0x-hex, times unix seconds, durations seconds.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from node.cli.errors import NotDone
from node.cli.passwords import terminal_present

_WIDTH_OF_A_FILE = 200
_SHORT_ID = 8
_WEI = frozenset({"balance", "price", "gas_cost", "value", "max_gas_fee"})
"""Fields that hold wei, which outgrow what JSON readers take for an integer."""
Progress = Callable[[int, int], None]


def console(*, err: bool = False) -> Console:
    """Open stdout (or stderr) for rich text; what is no terminal gets wide lines and no colour."""
    stream = sys.stderr if err else sys.stdout
    return Console(stderr=err, highlight=False, width=None if stream.isatty() else _WIDTH_OF_A_FILE)


def say(text: str) -> None:
    """Tell a result in a line. Rich markup is understood: escape what comes from elsewhere (`safe`)."""
    console().print(text, soft_wrap=True)


def note(text: str) -> None:
    """Tell something beside the result, on stderr."""
    console(err=True).print(text, soft_wrap=True, style="dim")


def warn(text: str) -> None:
    """Tell something that wants attention, on stderr."""
    console(err=True).print(f"[yellow]{text}[/yellow]", soft_wrap=True)


def tame(text: str) -> str:
    """Make a text of somebody else harmless: nothing in it may move the cursor or colour the screen."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def safe(text: str) -> str:
    """Make a text of somebody else fit for `say`, `note` and `warn`."""
    return escape(tame(text))


def print_json(value: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_line(value: object) -> None:
    """Write one JSON object as a line of its own, for commands that go on."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - JSON on one side, anything frozen on the other
    """Turn values of our packages into what JSON can hold. Fields of type Amount become decimal strings."""
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, int):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _field(field, getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(type(value).__name__)


def _field(field: "Field[Any]", value: object) -> Any:  # noqa: ANN401 - as plain
    money = "Amount" in str(field.type) or field.name in _WEI
    return str(value) if money and isinstance(value, int) else plain(value)


def amount(value: int) -> str:
    """Write an amount as JSON documents carry it."""
    return str(value)


def short(identifier: bytes) -> str:
    """Shorten an id of 32 bytes for a table; commands take any unambiguous beginning of one."""
    return "0x" + identifier.hex()[:_SHORT_ID]


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table; a column whose name begins with `>` is aligned to the right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(safe, row))
    console().print(table)


def show_facts(facts: Iterable[tuple[str, str]], title: str | None = None) -> None:
    """Print names and values, one pair a line."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(safe(name), safe(value))
    console().print(table)


@contextmanager
def progress(label: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Show a bar of bytes on stderr while the block runs; nothing where that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console(err=True), transient=True) as bar:
        task = bar.add_task(escape(label), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


@contextmanager
def waiting(label: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Show that something of unknown length goes on; yields a function that changes the text."""
    if quiet or not sys.stderr.isatty():
        yield lambda _text: None
        return
    with console(err=True).status(escape(label)) as status:
        yield lambda text: status.update(escape(text))


def confirm(question: str, *, yes: bool) -> None:
    """Go on only when the user agrees: by `--yes`, or by answering. Raises NotDone."""
    if yes:
        return
    if not terminal_present():
        raise NotDone("not confirmed, and this is no terminal to ask on: add --yes")
    console(err=True).print(f"{question} [bold]\\[y/N][/bold] ", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise NotDone("not confirmed; nothing was done")
