"""`tithe demo`: the whole story, told on stderr as it happens; its ending is a table or a line of JSON."""

import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from node.cli.amounts import parse_size, size
from node.cli.errors import NotDone, Unusable
from node.cli.output import Progress, console, progress, safe, say, show_table
from node.cli.session import run

if TYPE_CHECKING:
    from node.demo.cast import Shape
    from node.demo.ending import Ending


class Place(StrEnum):
    """Where the story plays."""

    EMBEDDED = "embedded"
    ANVIL = "anvil"
    GANACHE = "ganache"


def add_to(app: typer.Typer) -> None:
    """Put this command into the command line."""
    app.command(rich_help_panel="Begin")(demo)


def demo(
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="What to store; otherwise a file of Tithebarn's own.",
            show_default=False,
        ),
    ] = None,
    chain: Annotated[
        Place,
        typer.Option("--chain", help="In this process, or on a local node with farmer processes."),
    ] = Place.EMBEDDED,
    farmers: Annotated[int, typer.Option("--farmers", metavar="N", help="How many farmers there are.")] = 12,
    k: Annotated[int, typer.Option("--k", metavar="K", help="So many shards give it back.")] = 4,
    n: Annotated[int, typer.Option("--n", metavar="N", help="So many farmers get a shard each.")] = 12,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="Audit rounds; two at least.")] = 3,
    segment_size: Annotated[
        str,
        typer.Option("--segment-size", metavar="SIZE", help="Encrypt so much as one piece; at most 64MiB."),
    ] = "64MiB",
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON on stdout.")] = False,
) -> None:
    """See the whole story: store a file, audit, pay, lose farmers, read it back, settle.

    Nothing is kept and nothing of yours is touched: the chain, the farmers and
    the renter live in a temporary directory until the story ends. The exit code
    is 0 only if the file came back and every token is accounted for.

    For example:

        tithe demo
        tithe demo holiday.mp4 --chain anvil
        tithe demo --farmers 30 --k 10 --n 30 --rounds 5
    """
    from node.demo.cast import Shape
    from node.demo.errors import ImpossibleStory

    if file is not None and not file.is_file():
        raise Unusable(f"{file} is no regular file")
    try:
        shape = Shape(farmers=farmers, k=k, n=n, rounds=rounds, segment_size=parse_size(segment_size))
    except ImpossibleStory as error:
        raise Unusable(str(error)) from None
    ending = run(_play(chain, file or _own_file(), shape))
    if as_json:
        sys.stdout.write(json.dumps(ending.to_json()) + "\n")
    else:
        _show(ending)
    if ending.problems:
        raise NotDone("; ".join(ending.problems))


async def _play(place: Place, file: Path, shape: "Shape") -> "Ending":
    from node.demo.stages import set_stage
    from node.demo.story import tell
    from settlement.local_chain import ChainKind

    logging.getLogger("tithebarn").addHandler(logging.NullHandler())  # the story tells what matters
    with _Teller() as teller:
        where = "inside this process" if place is Place.EMBEDDED else f"on {place.value.capitalize()}"
        teller.step(f"A chain starts {where}, the contracts are deployed, {shape.farmers} farmers open")
        async with set_stage(ChainKind(place.value), shape) as stage:
            return await tell(stage, file, shape, teller)


def _own_file() -> Path:
    import contracts

    return Path(contracts.__file__).parent / "artifacts" / "PaymentChannels.json"


class _Teller:
    """Tells the steps of the story on stderr, each with its time, transfers with a bar."""

    def __init__(self) -> None:
        self._console = console(err=True)
        self._began = time.monotonic()
        self._bar = ExitStack()
        self._update: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def step(self, title: str) -> None:
        """Begin a step."""
        self._end_bar()
        seconds = time.monotonic() - self._began
        self._console.print(f"[dim]{seconds:5.1f} s[/dim]  [bold]{safe(title)}[/bold]", soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Add a sentence to it."""
        self._end_bar()
        self._console.print(f"         {safe(sentence)}", soft_wrap=True)

    def progress(self, done: int, total: int) -> None:
        """Show how far a transfer is."""
        if self._update is None:
            bar: AbstractContextManager[Callable[[int, int], None]] = progress("         transferring")
            self._update = self._bar.enter_context(bar)
        self._update(done, total)

    def _end_bar(self) -> None:
        self._bar.close()
        self._update = None


def _show(ending: "Ending") -> None:
    from node.demo.offers import tokens

    rows = [
        (
            farmer.name,
            farmer.fate.value,
            str(farmer.audits.passed),
            str(farmer.audits.failed),
            str(farmer.audits.offline),
            tokens(farmer.signed),
            tokens(farmer.claimed),
            f"{farmer.gas:,}",
        )
        for farmer in ending.farmers
    ]
    columns = ("farmer", "what it did", ">passed", ">failed", ">offline", ">vouchers", ">claimed", ">gas")
    console().print()
    show_table(columns, rows)
    before, after = ending.before, ending.after
    same = "the same bytes" if ending.retrieved_sha256 == ending.file.sha256 else "OTHER BYTES"
    say("")
    say(f"[bold]File[/bold]    {safe(ending.file.name)}, {size(ending.file.bytes)}, came back: {same}")
    say(
        f"[bold]Money[/bold]   the renter had {tokens(before.renter)}, has {tokens(after.renter)}:"
        f" spent {tokens(before.renter - after.renter)}; the farmers got {tokens(after.farmers)}"
    )
    kept = "every token is accounted for" if ending.conserved else "[red]tokens are missing[/red]"
    say(f"[bold]Check[/bold]   {kept}; left in the contract: {tokens(after.contract)}")
    gas = ending.gas
    say(
        f"[bold]Gas[/bold]     {gas.fund:,} to fund, {gas.claim:,} to claim,"
        f" {gas.withdraw:,} to close and withdraw"
    )
    say(f"[bold]Time[/bold]    {ending.seconds:.1f} s")
