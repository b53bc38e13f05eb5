"""`tithe rent`: keeping files. Audit and pay on schedule, or pay ahead for the time away."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import rent_limits
from node.cli.amounts import cell, coins, counted, duration, moment, parse_duration, parse_size
from node.cli.audit_report import count_outcomes
from node.cli.errors import NotDone, Unusable
from node.cli.faults import tell_fault, warn_of
from node.cli.keep import tell_repair
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile, WalletName, Yes
from node.cli.output import confirm, note, print_json, print_line, safe, say, short, show_table, waiting, warn
from node.cli.passwords import Passwords
from node.cli.payer import payer_access
from node.cli.renter import Access, Opened, caps, with_renter
from node.clock import wall_clock

if TYPE_CHECKING:
    from node.renter.reports import PaymentResult
    from node.renter.run_reports import TickReport
    from payments.types import Seconds

group = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Put this group into the command line."""
    group.add_typer(rent_limits.group)
    app.add_typer(
        group,
        name="rent",
        help="Keep what you stored: audit and pay on schedule, pay ahead, limit what farmers may ask.",
        rich_help_panel="Store files",
    )


@group.command("run")
def run_(
    top_up_cap: Annotated[
        str | None,
        typer.Option(
            "--top-up-cap",
            metavar="TOKENS",
            help="Top up channels before they run dry; so much in all, over all runs.",
            show_default=False,
        ),
    ] = None,
    top_up_day: Annotated[
        str | None,
        typer.Option(
            "--top-up-day", metavar="TOKENS", help="... and so much in 24 hours.", show_default=False
        ),
    ] = None,
    repair_cap: Annotated[
        str,
        typer.Option("--repair-cap", metavar="SIZE", help="Repairs move so much in 24 hours; 0: no repairs."),
    ] = "20GB",
    wallet: WalletName = None,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Audit every file on its schedule and pay for what is proven, until Ctrl-C.

    Leave it running: farmers who are not paid delete after the grace. With --json
    each step is one line, an object of its own. With --top-up-cap your wallet pays
    for 30 days more when a channel lasts for less than 7, all in one transaction.

    It renews agreements before they end. Where too many shards are missing it makes
    new ones, with other farmers, of k that it reads and pays for. What it agrees to
    at most: tithe rent limits.

    For example:

        tithe rent run
        tithe rent run --top-up-cap 50 --top-up-day 5
        tithe rent run --password-file ~/renter.password >> rent.log
    """

    async def work(opened: Opened) -> "tuple[Opened, tuple[PaymentResult, ...]]":
        import asyncio
        import signal

        from node.tasks import end
        from settlement.copies import keep_copies

        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if not as_json:
            note("It audits, pays, repairs and renews on schedule until Ctrl-C.")
        copying = asyncio.create_task(keep_copies(opened.copies))
        try:
            return opened, await opened.renter.run(
                stop, on_tick=lambda tick: _tell_tick(tick, opened, as_json=as_json)
            )
        finally:
            await end([copying])

    passwords = Passwords(password_file, password_fd)
    access = Access(passwords, signs=True)
    cap = parse_size(repair_cap)
    if top_up_cap is not None:
        access = payer_access(passwords, wallet, None, unsigned=False, signs=True)
    elif top_up_day is not None or wallet is not None:
        raise Unusable("--top-up-day and --wallet go with --top-up-cap")
    access = replace(access, reads=cap > 0)
    opened, payments = with_renter(chain, access, work, caps(top_up_cap, top_up_day), cap or None)
    if as_json:
        print_line({"payments": payments})
    else:
        _tell_payments(payments, opened)
        say("Stopped.")


@group.command()
def prepay(
    days: Annotated[str, typer.Argument(metavar="DAYS", help="How long you will be away: 14, or 14d.")],
    chain: ChainName = None,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Pay all farmers ahead, for a time in which nothing audits them.

    At your risk: the vouchers hold whether the farmers keep the files or not. Shows
    what it costs and asks first. Time that is paid already is not paid again: repeat
    it for farmers that could not be reached.

    For example:

        tithe rent prepay 14
    """
    seconds = _days(days)

    async def work(opened: Opened) -> "tuple[Opened, tuple[PaymentResult, ...]]":
        prices, token = opened.renter.payments.price_ahead(seconds), opened.token
        if prices:
            confirm(
                f"Pay {coins(sum(prices.values()), token)} to"
                f" {counted(len(prices), 'farmer')} for {duration(seconds)} ahead,"
                " without audits, whether they keep the files or not?",
                yes=yes,
            )
        with waiting("Paying ahead", quiet=as_json):
            return opened, await opened.renter.payments.prepay(seconds)

    opened, payments = with_renter(chain, Access(Passwords(password_file, password_fd), signs=True), work)
    if as_json:
        print_json({"token": opened.token, "seconds": seconds, "payments": payments})
    elif not payments:
        note("Nothing is stored, so nothing is paid.")
    else:
        _tell_payments(payments, opened)
    failed = [payment for payment in payments if payment.fault is not None]
    if failed:
        raise NotDone(f"{len(failed)} of {len(payments)} farmers were not paid ahead")
    if not as_json:
        note("Until when the files are safe now: tithe ls")


def _days(text: str) -> "Seconds":
    """Read days, as a bare number or with a unit."""
    return parse_duration(f"{text}d" if text.isascii() and text.isdigit() else text)


def _tell_tick(tick: "TickReport", opened: Opened, *, as_json: bool) -> None:
    if as_json:
        print_line({"tick": tick})
        return
    wait = duration(max(0, tick.next_at - wall_clock()))
    if tick.audits:
        outcomes = ", ".join(f"{count} {name.lower()}" for name, count in count_outcomes(tick.audits).items())
        earned = coins(sum(one.earned for one in tick.audits), opened.token)
        say(f"{moment(tick.at)}  {outcomes}; {earned} earned; next look in {wait}")
    if tick.topped_up:
        say(f"{moment(tick.at)}  {coins(tick.topped_up, opened.token)} put into channels")
    if tick.renewed:
        say(f"{moment(tick.at)}  {counted(tick.renewed, 'agreement')} renewed")
    for repair in tick.repairs:
        tell_repair(repair, opened.token)
    if tick.trouble:
        warn(f"{moment(tick.at)}  {safe(tick.trouble)}")
    for audit in tick.audits:
        if audit.outcome.name == "FAILED":
            warn(f"{short(audit.farmer)} lost shard {audit.segment}/{audit.index} of {safe(audit.file)}")
    warn_of(tick.faults, opened.token)


def _tell_payments(payments: "tuple[PaymentResult, ...]", opened: Opened) -> None:
    if not payments:
        return
    show_table(
        ("farmer", ">paid", f">voucher total ({opened.token.symbol})", ""),
        [
            (
                short(one.farmer),
                cell(one.added, opened.token),
                cell(one.total, opened.token),
                "" if one.fault is None else tell_fault(one.fault, opened.token),
            )
            for one in payments
        ],
    )
