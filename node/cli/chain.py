"""`tithe chain`: local chains to try things on, the contracts, and the records by which chains are known."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import deploy, local
from node.cli.amounts import duration, moment
from node.cli.deploy import public_record, tell_record
from node.cli.identifiers import public_url, show_address
from node.cli.options import ChainName, Json
from node.cli.output import note, print_json, safe, say, show_facts, show_table
from node.cli.session import chain_name, chain_names, home, on_chain, run
from node.clock import wall_clock

if TYPE_CHECKING:
    from settlement.client import Chain, TokenInfo
    from settlement.deployment import Deployment
    from settlement.rpc import Block

AHEAD = 60


class Finality(StrEnum):
    """What makes news count."""

    DEPTH = "depth"
    SAFE = "safe"
    FINALIZED = "finalized"


group = typer.Typer(no_args_is_help=True)
records = typer.Typer()
group.add_typer(local.group)
group.add_typer(deploy.group)
group.add_typer(records)


def add_to(app: typer.Typer) -> None:
    """Put this group into the command line."""
    app.add_typer(
        group,
        name="chain",
        help="A local chain to try things on; the contracts; the records of the chains you use.",
        rich_help_panel="Set up",
    )


@records.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="The chain's JSON-RPC, as you reach it.")],
    record: Annotated[
        Path,
        typer.Argument(
            metavar="RECORD", help="The record of its deployer: chains/NAME.json of another TITHE_HOME."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="What to call it here. Default: as there.", show_default=False
        ),
    ] = None,
    rpc: Annotated[
        list[str] | None,
        typer.Option(
            "--rpc",
            metavar="URL",
            help="Another JSON-RPC of this chain, for when the first is down, behind or lies; repeatable.",
            show_default=False,
        ),
    ] = None,
    finality: Annotated[
        Finality | None,
        typer.Option(
            "--finality",
            help="What makes news count: blocks upon it, or the chain's own word. Default: as there.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Join a chain that somebody else has deployed to.

    The record is checked against the chain first. With several endpoints, one
    that does not answer, lags or contradicts the others is named in the log and
    not used until it is well again. Name the one you trust most first.

    For example:

        tithe chain add http://127.0.0.1:8545 ~/.tithe/chains/local.json
        tithe chain add https://my.node record.json --rpc https://rpc.example
    """
    from node.cli.records import join_chain

    urls = ",".join((url, *(rpc or ())))
    joined = run(join_chain(home(), record.expanduser(), url=urls, name=name, finality=finality))
    if as_json:
        print_json(public_record(joined))
    else:
        tell_record(joined)


@records.command("list")
def list_(as_json: Json = False) -> None:
    """List the chains recorded here.

    For example:

        tithe chain list
    """
    from settlement.deployment import Deployment

    place = home()
    current = place.config().chain
    records = [(name, Deployment.load(place.chain_file(name))) for name in place.chain_names()]
    if as_json:
        print_json(
            [
                {"name": name, "current": name == current, "deployment": public_record(record)}
                for name, record in records
            ]
        )
    elif not records:
        note("No chain yet: tithe chain up, then tithe chain deploy")
    else:
        show_table(
            ("chain", "id", "URL", "contract", ""),
            [
                (
                    name,
                    str(record.chain_id),
                    public_url(record.url),
                    show_address(record.contract),
                    "current" if name == current else "",
                )
                for name, record in records
            ],
        )


@records.command()
def use(
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=chain_names, help="A recorded chain.")
    ],
) -> None:
    """Make a recorded chain the current one.

    For example:

        tithe chain use testnet
    """
    place = home()
    place.save_config(replace(place.config(), chain=chain_name(name)))
    say(f"Commands now use the chain {safe(name)}.")


@records.command()
def show(chain: ChainName = None, as_json: Json = False) -> None:
    """Show whether the chain answers and is the recorded one, and its time.

    For example:

        tithe chain show
    """

    async def look(chain: "Chain") -> "tuple[Deployment, Block, TokenInfo]":
        return chain.deployment, await chain.head(), await chain.token_info()

    record, head, token = on_chain(chain, look)
    ahead = head.timestamp - wall_clock()
    if as_json:
        print_json(
            {
                "deployment": public_record(record),
                "block": head.number,
                "time": head.timestamp,
                "token": token,
            }
        )
        return
    tell_record(record)
    show_facts(
        [
            ("token is", f"{token.symbol}, {token.decimals} digits after the point"),
            ("block", str(head.number)),
            (
                "its time",
                moment(head.timestamp) + (f" (ahead by {duration(ahead)})" if ahead > AHEAD else ""),
            ),
        ]
    )
