"""`tithe channel`: the renter's money. Looking at it, and whose it is; the ways in and out are elsewhere."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import channel_exits, channel_fund
from node.cli.amounts import cell, coins, counted, duration, moment
from node.cli.identifiers import find_id, parse_address, show_address
from node.cli.options import ChainName, Json
from node.cli.output import amount, note, print_json, say, short, show_facts, show_table, waiting
from node.cli.renter import Access, Opened, with_renter

if TYPE_CHECKING:
    from node.renter.reports import ChannelInfo
    from settlement.client import TokenInfo

group = typer.Typer(no_args_is_help=True)
looking = typer.Typer()


def add_to(app: typer.Typer) -> None:
    """Put this group into the command line."""
    group.add_typer(channel_fund.group)
    group.add_typer(looking)
    group.add_typer(channel_exits.group)
    app.add_typer(
        group,
        name="channel",
        help="The money farmers are paid from: fund channels, watch them, close them.",
        rich_help_panel="Store files",
    )


@looking.command("list")
def list_(chain: ChainName = None, as_json: Json = False) -> None:
    """List your channels: what they hold, what is promised, when a withdrawal opens.

    For example:

        tithe channel list
    """
    opened, infos, now = _read(chain, as_json=as_json)
    if as_json:
        print_json({"token": opened.token, "time": now, "channels": [_document(info) for info in infos]})
    elif not infos:
        note("No channel yet: tithe channel fund")
    else:
        _show_list(infos, opened.token, now)


@looking.command()
def show(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Its id, or the beginning of it.")],
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Show one channel with all its terms.

    For example:

        tithe channel show 0x1f3a
    """
    opened, infos, now = _read(chain, as_json=as_json)
    known = {info.channel.id: info for info in infos}
    info = known[find_id("channel", channel, known)]
    if as_json:
        print_json({"token": opened.token, "time": now, "channel": _document(info)})
        return

    token, held, terms = opened.token, info.channel, info.channel.terms
    show_facts(
        [
            ("channel", "0x" + held.id.hex()),
            ("farmer", "0x" + info.farmer.hex() if info.farmer else "not among your peers"),
            ("state", held.status.name.lower()),
            ("deposit", coins(held.deposit, token)),
            ("promised", f"{coins(held.promised, token)} (the highest total ever signed)"),
            ("paid by voucher", coins(info.paid, token)),
            ("claimed on chain", coins(held.claimed, token)),
            ("left", coins(_left(info), token)),
            ("payer", show_address(terms.payer)),
            ("signer", show_address(terms.signer)),
            ("payee", show_address(terms.payee)),
            ("token", show_address(terms.token)),
            ("challenge period", duration(terms.challenge_period)),
            ("life", "unknown" if info.life is None else str(info.life)),
            ("withdrawal", withdrawal(info, now) or "after: tithe channel close"),
        ]
    )


@looking.command()
def adopt(
    payer: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who has funded them.")],
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Take over channels that another wallet has funded for you.

    Anybody can open a channel in your name, and its payer can close it. So those of
    wallets that are neither here nor ever funded for you by tithe channel fund
    are not used before you have named their payer: do that for wallets you trust.

    For example:

        tithe channel adopt 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """

    async def work(opened: Opened) -> "tuple[Opened, tuple[ChannelInfo, ...]]":
        return opened, await opened.renter.channels.adopt(parse_address(payer))

    with waiting("Reading the chain", quiet=as_json):
        opened, infos = with_renter(chain, Access(), work)
    if as_json:
        print_json({"token": opened.token, "channels": [_document(info) for info in infos]})
    else:
        say(f"Adopted {counted(len(infos), 'channel')} of {show_address(parse_address(payer))}.")


def withdrawal(info: "ChannelInfo", now: int) -> str:
    """Say when the rest can be taken; times are the chain's. Empty while no close was requested."""
    if info.withdrawal_opens is None:
        return ""
    if info.channel.status.name == "CLOSED":
        return "taken"
    left = info.withdrawal_opens - now
    return (
        "open: tithe channel withdraw"
        if left <= 0
        else f"in {duration(left)}, {moment(info.withdrawal_opens)}"
    )


def _read(chain: str | None, *, as_json: bool) -> "tuple[Opened, tuple[ChannelInfo, ...], int]":
    async def look(opened: Opened) -> "tuple[Opened, tuple[ChannelInfo, ...], int]":
        news = await opened.renter.channels.refresh()
        return opened, opened.renter.channels.list(), news.head.timestamp

    with waiting("Reading the chain", quiet=as_json):
        return with_renter(chain, Access(), look)


def _left(info: "ChannelInfo") -> int:
    """What comes back if nothing more is earned; nothing once it was taken."""
    held = info.channel
    return 0 if held.status.name == "CLOSED" else held.deposit - max(held.claimed, held.earned)


def _document(info: "ChannelInfo") -> dict[str, object]:
    held = info.channel
    return {
        "channel_id": held.id,
        "farmer": info.farmer,
        "life": info.life,
        "status": held.status,
        "terms": held.terms,
        "deposit": amount(held.deposit),
        "promised": amount(held.promised),
        "earned": amount(held.earned),
        "paid": amount(info.paid),
        "claimed": amount(held.claimed),
        "withdrawal_opens": info.withdrawal_opens,
    }


def _show_list(infos: "tuple[ChannelInfo, ...]", token: "TokenInfo", now: int) -> None:
    def shown(amount: int) -> str:
        return cell(amount, token)

    show_table(
        (
            "channel",
            "farmer",
            "state",
            ">deposit",
            ">promised",
            ">paid",
            ">claimed",
            f">left ({token.symbol})",
            "withdrawal",
        ),
        [
            (
                short(info.channel.id),
                short(info.farmer) if info.farmer else "-",
                info.channel.status.name.lower(),
                shown(info.channel.deposit),
                shown(info.channel.promised),
                shown(info.paid),
                shown(info.channel.claimed),
                shown(_left(info)),
                withdrawal(info, now),
            )
            for info in infos
        ],
    )
