"""`tithe repair, keep`: shards that were lost made anew, and until when a file is kept."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import coins, counted, moment, parse_duration, size
from node.cli.errors import NotDone, Unusable
from node.cli.faults import warn_of
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile, Yes
from node.cli.output import confirm, note, print_json, safe, say, show_table, waiting, warn
from node.cli.passwords import Passwords
from node.cli.renter import Access, Opened, with_renter

if TYPE_CHECKING:
    from node.renter.repair_reports import PlannedRepair, RepairResult
    from payments.types import Timestamp
    from settlement.client import TokenInfo

PANEL = "Store files"


def add_to(app: typer.Typer) -> None:
    """Put these commands into the command line."""
    for command in (repair, keep):
        app.command(rich_help_panel=PANEL)(command)


def repair(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Stored files; all if none is named.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Make every missing shard anew, also where enough are healthy."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is to be done.")] = False,
    yes: Yes = False,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Make lost shards anew now, with farmers that hold no shard of the segment yet.

    tithe rent run does this by itself where too few shards are healthy. Of each
    segment k shards are read and paid for. Shows what that costs and asks first.
    Exit code 1 if something could not be repaired.

    For example:

        tithe repair --dry-run
        tithe repair holiday.mp4 --full
    """

    async def work(opened: Opened) -> "tuple[Opened, tuple[RepairResult, ...]]":
        plans = opened.renter.repairs.plan(names or None, full=full)
        if not as_json:
            _show_plans(plans, opened.token)
        elif dry_run:
            print_json({"token": opened.token, "plans": plans})
        if dry_run or not plans:
            return opened, ()
        confirm(f"Repair {counted(len(plans), 'segment')}?", yes=yes)
        with waiting("Repairing", quiet=as_json):
            return opened, await opened.renter.repair(names or None, full=full)

    access = Access(Passwords(password_file, password_fd), signs=not dry_run, reads=not dry_run)
    opened, results = with_renter(chain, access, work)
    if as_json and not dry_run:
        print_json({"token": opened.token, "repairs": results})
    elif not as_json:
        for result in results:
            tell_repair(result, opened.token)
    undone = [result for result in results if result.ending.name not in {"REPAIRED", "NOT_NEEDED"}]
    if undone:
        raise NotDone(f"{counted(len(undone), 'segment')} not repaired: {undone[0].ending.value}")


def keep(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A stored file.")],
    span: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="So long from now.", show_default=False),
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Until you remove it.")] = False,
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Say until when a file is to be kept: tithe rent run renews its agreements until then.

    What farmers have agreed to stays agreed; to end it now, remove the file.

    For example:

        tithe keep holiday.mp4 --for 365d
        tithe keep holiday.mp4 --forever
    """
    if forever == (span is not None):
        raise Unusable("say --for DURATION, or --forever")
    seconds = None if span is None else parse_duration(span)

    async def work(opened: Opened) -> "Timestamp | None":
        from node.clock import wall_clock
        from payments.types import Timestamp

        until = None if seconds is None else Timestamp(wall_clock() + seconds)
        await opened.renter.files.keep(name, until)
        return until

    until = with_renter(chain, Access(), work)
    if as_json:
        print_json({"name": name, "kept_until": until})
        return
    say(f"{safe(name)} is kept {'until you remove it' if until is None else f'until {moment(until)}'}.")
    note("Leave tithe rent run running: it renews the agreements.")


def tell_repair(result: "RepairResult", token: "TokenInfo") -> None:
    """Say in one line what came of a repair."""
    where = f"segment {result.segment} of {safe(result.file)}"
    if result.rebuilt:
        cost = f"{size(result.bytes)} moved, {coins(result.paid, token)} paid for reading"
        say(f"{where}: {counted(result.rebuilt, 'shard')} made anew; {cost}")
    if result.ending.name not in {"REPAIRED", "CAPPED"}:
        warn(f"{where}: {result.ending.value}")
    warn_of(result.faults, token)


def _show_plans(plans: "tuple[PlannedRepair, ...]", token: "TokenInfo") -> None:
    if not plans:
        note("Nothing is to be repaired.")
        return
    show_table(
        ("file", ">segment", ">healthy", ">needed", ">to make", ">moves", ">costs about"),
        [
            (
                plan.file,
                str(plan.health.segment),
                f"{plan.health.healthy} of {plan.health.n}",
                str(plan.health.k),
                str(len(plan.health.missing)),
                size(plan.bytes),
                coins(plan.price, token),
            )
            for plan in plans
        ],
    )
