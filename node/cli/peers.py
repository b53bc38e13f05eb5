"""`tithe peers`: the farmers a renter knows, until discovery finds them."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from node.cli.amounts import cell, moment, size
from node.cli.errors import NotDone
from node.cli.faults import warn_of
from node.cli.identifiers import find_id
from node.cli.options import ChainName, Json
from node.cli.output import note, print_json, safe, say, short, show_table, waiting
from node.cli.renter import Access, Opened, with_renter

if TYPE_CHECKING:
    from node.network import Peer
    from node.renter.reports import QuoteReport

group = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Put this group into the command line."""
    app.add_typer(
        group,
        name="peers",
        help="The farmers you know: add, list with their prices, forget.",
        rich_help_panel="Store files",
    )


@group.command()
def add(
    urls: Annotated[list[str], typer.Argument(metavar="URL...", help="Where farmers listen.")],
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Meet farmers at their addresses and remember them.

    What a farmer says of itself must be signed by its key, and on your chain.

    For example:

        tithe peers add http://127.0.0.1:4501 http://127.0.0.1:4502
    """
    added: list[Peer] = []
    troubles: list[str] = []

    async def meet(opened: Opened) -> None:
        from node.errors import NodeError
        from payments.errors import PaymentError

        for url in urls:
            if not _is_address(url):
                troubles.append(f"{url}: no address of a farmer: write http://HOST:PORT")
                continue
            try:
                added.append(await opened.renter.peers.add(url))
            except (NodeError, PaymentError) as error:
                troubles.append(f"{url}: {error}")

    with waiting("Meeting farmers", quiet=as_json):
        with_renter(chain, Access(), meet)
    if as_json:
        print_json({"added": added, "troubles": troubles})
    else:
        for peer in added:
            say(f"Farmer {short(peer.node)} at {safe(peer.urls[0])}")
    if troubles:
        raise NotDone(f"{'; '.join(troubles)} (is the farmer running, and on your chain?)")
    note("Next: tithe channel fund")


def _is_address(url: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    return False


@group.command("list")
def list_(
    ask: Annotated[bool, typer.Option("--ask", help="Ask each for its prices of now.")] = False,
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """List the farmers you know, with what they asked when last heard from.

    For example:

        tithe peers list --ask
    """

    async def look(opened: Opened) -> "tuple[Opened, tuple[Peer, ...], tuple[QuoteReport, ...]]":
        peers = opened.renter.peers
        reports = await peers.quotes() if ask else ()
        return opened, peers.list(), reports

    with waiting("Asking farmers", quiet=as_json or not ask):
        opened, known, reports = with_renter(chain, Access(chain_may_be_away=True), look)
    faults = {report.farmer: report.fault for report in reports if report.fault is not None}
    if as_json:
        print_json(
            {
                "token": opened.token,
                "peers": [{"peer": peer, "fault": faults.get(peer.node), "asked": ask} for peer in known],
            }
        )
        return
    if not known:
        note("No farmer is known yet: tithe peers add URL")
        return

    def shown(amount: int) -> str:
        return cell(amount, opened.token)

    symbol = opened.token.symbol
    show_table(
        (
            "farmer",
            "URL",
            f">{symbol} a GB-month",
            f">{symbol} a GB read",
            ">least deposit",
            ">free",
            "heard from",
        ),
        [
            (
                short(peer.node),
                peer.urls[0],
                shown(peer.quote.prices.storage_per_gb_month),
                shown(peer.quote.prices.download_per_gb),
                shown(peer.quote.min_deposit),
                size(peer.quote.free_bytes),
                moment(peer.seen_at),
            )
            for peer in known
        ],
    )
    warn_of(faults.values(), opened.token)


@group.command()
def rm(
    farmers: Annotated[list[str], typer.Argument(metavar="FARMER...", help="Ids, or their beginnings.")],
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Forget farmers. Channels and files with them stay as they are.

    For example:

        tithe peers rm 0x7f23e34b
    """

    async def forget(opened: Opened) -> list[bytes]:
        peers = opened.renter.peers
        known = [peer.node for peer in peers.list()]
        nodes = [find_id("farmer", text, known) for text in farmers]
        for node in nodes:
            await peers.remove(node)
        return list(nodes)

    gone = with_renter(chain, Access(), forget)
    if as_json:
        print_json({"forgotten": gone})
    else:
        say(f"Forgot {', '.join(map(short, gone))}.")
