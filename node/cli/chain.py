"""`tithe chain`: local chains to try things on, the contracts, and the records by which chains are known."""

from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import local
from node.cli.amounts import duration, moment, parse_duration, parse_number
from node.cli.errors import NotDone
from node.cli.gifts import DEFAULT_GAS_GIFT, DEFAULT_GIFT, GasGift, Gift, TokenGift, give_both, rich_key
from node.cli.identifiers import parse_address, show_address
from node.cli.keys import resolve_owner, unlock_wallet
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile, WalletName, Yes
from node.cli.output import confirm, note, print_json, safe, say, show_facts, show_table, waiting
from node.cli.passwords import Passwords
from node.cli.session import (
    chain_name,
    chain_names,
    home,
    on_chain,
    run,
    wallet_name,
)
from node.clock import wall_clock
from node.home import check_name

if TYPE_CHECKING:
    from settlement.client import Chain, TokenInfo
    from settlement.deployment import Deployment
    from settlement.rpc import Block, Rpc

AHEAD = 60


class Finality(StrEnum):
    """What makes news count."""

    DEPTH = "depth"
    SAFE = "safe"
    FINALIZED = "finalized"


group = typer.Typer(no_args_is_help=True)
records = typer.Typer()
group.add_typer(local.group)
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
def deploy(
    url: Annotated[
        str | None,
        typer.Option(
            "--url", metavar="URL", help="The chain's JSON-RPC. Default: the local chain.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What to call the chain here.")
    ] = "local",
    token: Annotated[
        str | None,
        typer.Option(
            "--token", metavar="ADDRESS", help="Use this ERC-20; otherwise one is made.", show_default=False
        ),
    ] = None,
    challenge_period: Annotated[
        str | None,
        typer.Option(
            "--challenge-period",
            metavar="DURATION",
            help="What new channels get. Default: 60s on a local chain, elsewhere 24h.",
            show_default=False,
        ),
    ] = None,
    wallet: WalletName = None,
    gift: TokenGift = DEFAULT_GIFT,
    gas_gift: GasGift = DEFAULT_GAS_GIFT,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Put the contracts on a chain, and record where they are.

    PaymentChannels has the same address on every chain; where it stands already
    it is used as it is.

    A local chain's own rich account pays, and your default wallet is given tokens
    and gas money. Elsewhere your wallet pays and gets the whole supply of the new
    token; none is made with --token.

    For example:

        tithe chain deploy
        tithe chain deploy --url https://rpc.example --name testnet --token 0x...
    """
    check_name("chain", name)
    period = None if challenge_period is None else parse_duration(challenge_period)
    contract = None if token is None else parse_address(token)
    coins, ether = parse_number(gift), parse_number(gas_gift)
    passwords = Passwords(password_file, password_fd)

    async def work() -> "tuple[Deployment, Gift | None]":
        from node.cli.records import keep_record
        from settlement.deployment import LOCAL_CLIENTS, deploy
        from settlement.rpc import Rpc

        async with await Rpc.open(url or local.local_url()) as rpc:
            await _refuse_second(rpc, name)
            on_local = (await rpc.client()).lower().startswith(LOCAL_CLIENTS)
            if on_local and wallet is None:
                key = await rich_key(rpc)
            else:
                place = f"chain {await rpc.chain_id()}"
                confirm(f"Deploy to {place}, paid by wallet {wallet_name(wallet)}?", yes=yes)
                key = unlock_wallet(wallet, passwords)
            with waiting("Deploying the contracts", quiet=as_json):
                record = await deploy(rpc, key, name, token=contract, challenge_period=period)
                keep_record(home(), record)
                return record, await _fill_wallet(record, Decimal(0) if token else coins, ether)

    record, given = run(work())
    if as_json:
        print_json({"deployment": _public(record), "gift": given})
        return
    _tell_record(record)
    _tell_address(record)
    if given is not None:
        say(f"Wallet {safe(given.name)} got {given.shown}.")
        note("Next: farmers (tithe farm init --help), then tithe peers add URL")
    elif record.local:
        note("There is no wallet to fill: tithe wallet new, then tithe chain give")


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
        print_json(_public(joined))
    else:
        _tell_record(joined)


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
                {"name": name, "current": name == current, "deployment": _public(record)}
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
                    _public(record).url,
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
            {"deployment": _public(record), "block": head.number, "time": head.timestamp, "token": token}
        )
        return
    _tell_record(record)
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


async def _refuse_second(rpc: "Rpc", name: str) -> None:
    """Do not deploy twice under one name while the first deployment lives."""
    from settlement.client import Chain
    from settlement.deployment import Deployment
    from settlement.errors import DeploymentError

    try:
        record = Deployment.load(home().chain_file(name))
        await Chain(rpc, record).verify()
    except DeploymentError:
        return
    place = show_address(record.contract)
    raise NotDone(f"{name} is deployed already, at {place}: choose another --name to deploy again")


async def _fill_wallet(record: "Deployment", coins: Decimal, ether: Decimal) -> "Gift | None":
    """Give the default wallet of this home what it needs, where that costs nothing."""
    from settlement.client import Chain

    if not record.local or not home().wallet_names():
        return None
    name, address = resolve_owner(None)
    async with await Chain.connect(record.url, record) as chain:
        return await give_both(chain, name, address, coins, ether)


def _public(record: "Deployment") -> "Deployment":
    """The record without what may be a secret in its URL."""
    from settlement.urls import public_url

    return replace(record, url=public_url(record.url))


def _tell_address(record: "Deployment") -> None:
    """Say where the contract's address is not the one it has elsewhere."""
    from settlement.deployment import shared_address
    from settlement.deployment_proxy import PROXY

    if record.contract != shared_address():
        proxy = show_address(PROXY)
        note(f"This chain lacks the deployment proxy {proxy}: the contract has an address of its own here")


def _tell_record(record: "Deployment", *more: tuple[str, str]) -> None:
    show_facts(
        [
            ("chain", f"{record.name} (id {record.chain_id})"),
            ("URL", _public(record).url),
            ("contract", show_address(record.contract)),
            ("token", show_address(record.token)),
            ("challenge period", duration(record.challenge_period)),
            ("record", str(home().chain_file(record.name))),
            *more,
        ]
    )
