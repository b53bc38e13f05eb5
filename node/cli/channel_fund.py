"""`tithe channel fund`: one transaction that opens or tops up the channels to many farmers."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import (
    cell,
    coins,
    counted,
    duration,
    parse_duration,
    parse_number,
    parse_size,
    share,
    size,
    to_base_units,
)
from node.cli.errors import Unusable
from node.cli.faults import warn_of
from node.cli.identifiers import find_ids
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile, WalletName, Yes
from node.cli.output import confirm, note, print_json, say, short, show_facts, show_table, waiting
from node.cli.passwords import Passwords
from node.cli.payer import ColdPayer, Unsigned, gas_shown, payer_access, show_calls
from node.cli.renter import Opened, with_renter

if TYPE_CHECKING:
    from node.renter.reports import FundingPlan, SentReport
    from settlement.client import TokenInfo

FIRST_SIZE = "1GB"
"""What is planned for while nothing is stored yet."""

group = typer.Typer()


@group.command()
def fund(
    farmers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FARMER]...", help="Ids, or their beginnings. All you know if none is named."
        ),
    ] = None,
    span: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="For how long it shall last.")
    ] = "30d",
    stored: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="SIZE",
            help=f"How much you want to store in all. Default: what you store, or {FIRST_SIZE}.",
            show_default=False,
        ),
    ] = None,
    each: Annotated[
        str | None,
        typer.Option(
            "--amount",
            metavar="TOKENS",
            help="Raise each deposit to this instead of asking for prices.",
            show_default=False,
        ),
    ] = None,
    wallet: WalletName = None,
    payer: ColdPayer = None,
    unsigned: Unsigned = False,
    chain: ChainName = None,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Put tokens into the channels from which farmers are paid.

    Raises each deposit TO what storing takes by the farmers' prices, never by it:
    repeating the command does not pay twice. What farmers do not earn comes back
    with tithe channel close, after the challenge period. Shows the total, that
    period, and the gas beside the storage, and asks first. Farmers that ask more
    than tithe rent limits allows are left out.

    For example:

        tithe channel fund --for 30d --size 10GB
        tithe channel fund 0x7f23 --amount 5
        tithe channel fund --payer 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --unsigned
    """
    seconds = parse_duration(span)
    count = None if stored is None else parse_size(stored)
    number = None if each is None else parse_number(each)
    if number is not None and count is not None:
        raise Unusable("--amount and --size exclude each other")
    access = payer_access(Passwords(password_file, password_fd), wallet, payer, unsigned=unsigned)

    async def work(opened: Opened) -> "tuple[FundingPlan, SentReport | None]":
        renter = opened.renter
        known = [peer.node for peer in renter.peers.list()]
        nodes = [node for node in known if node in find_ids("farmer", farmers or [], known)]
        total = count
        if total is None and number is None and not any(info.size for info in renter.files.ls()):
            total = parse_size(FIRST_SIZE)
        with waiting("Asking farmers for prices", quiet=as_json):
            plan = await renter.funding.plan(
                nodes,
                seconds=seconds,
                stored_bytes=total,
                amount=None if number is None else to_base_units(number, opened.token.decimals),
            )
        if not as_json:
            warn_of(plan.faults, opened.token)
            _show_plan(plan, opened.token)
            if total != count:
                note(f"Nothing is stored yet: this is planned for {FIRST_SIZE} (change it by --size).")
        if unsigned:
            calls = await renter.funding.fund_unsigned(plan)
            show_calls(calls, opened, as_json=as_json)
            return plan, None
        confirm(f"Fund {counted(len(plan.rows), 'channel')} with {coins(plan.total, opened.token)}?", yes=yes)
        with waiting("Funding; waiting for the chain", quiet=as_json):
            return plan, await renter.funding.fund(plan)

    plan, sent = with_renter(chain, access, work)
    if sent is None:
        return
    if as_json:
        print_json(
            {"plan": plan, "gas": sent.gas, "transactions": [one.transaction for one in sent.receipts]}
        )
    else:
        say(f"Funded {counted(len(plan.rows), 'channel')}; {sent.gas:,} gas used.")
        note("Next: tithe put FILE")


def _show_plan(plan: "FundingPlan", token: "TokenInfo") -> None:
    show_table(
        ("farmer", "channel", ">has", ">gets", ">added"),
        [
            (
                short(row.farmer),
                short(row.channel) + ("" if row.deposit else " (new)"),
                *(cell(one, token) for one in (row.deposit, row.target, row.added)),
            )
            for row in plan.rows
        ],
    )
    facts = [("total", coins(plan.total, token))]
    if plan.storage_cost:
        of_what = f" of {size(plan.stored_bytes)}" if plan.stored_bytes else ""
        what = f"{coins(plan.storage_cost, token)} for storage{of_what} for {duration(plan.seconds)}"
        facts.append(
            (
                "of that",
                f"{what} ({share(plan.storage_cost, plan.total)}); the rest for reading, or comes back",
            )
        )
    show_facts([*facts, ("gas", gas_shown(plan.gas, plan.gas_cost)), ("challenge period", _periods(plan))])


def _periods(plan: "FundingPlan") -> str:
    """Say for how long a deposit waits after a close request."""
    periods = sorted({row.terms.challenge_period for row in plan.rows})
    told = duration(periods[0]) if len(periods) == 1 else f"{duration(periods[0])} to {duration(periods[-1])}"
    return f"{told}: so long the rest waits after tithe channel close"
