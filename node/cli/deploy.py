"""`tithe chain deploy`: the contracts put on a chain, and its record; a local chain fills the wallet too."""

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import local
from node.cli.amounts import duration, parse_duration, parse_number
from node.cli.errors import NotDone
from node.cli.gifts import DEFAULT_GAS_GIFT, DEFAULT_GIFT, GasGift, Gift, TokenGift, give_both, rich_key
from node.cli.identifiers import parse_address, public_url, show_address
from node.cli.keys import resolve_owner, unlock_wallet
from node.cli.options import Json, PasswordFd, PasswordFile, WalletName, Yes
from node.cli.output import confirm, note, print_json, safe, say, show_facts, waiting
from node.cli.passwords import Passwords
from node.cli.session import home, run, wallet_name
from node.home import check_name

if TYPE_CHECKING:
    from settlement.deployment import Deployment
    from settlement.rpc import Rpc

group = typer.Typer()


@group.command()
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
        print_json({"deployment": public_record(record), "gift": given})
        return
    tell_record(record)
    _tell_address(record)
    if given is not None:
        say(f"Wallet {safe(given.name)} got {given.shown}.")
        note("Next: farmers (tithe farm init --help), then tithe peers add URL")
    elif record.local:
        note("There is no wallet to fill: tithe wallet new, then tithe chain give")


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


def _tell_address(record: "Deployment") -> None:
    """Say where the contract's address is not the one it has elsewhere."""
    from settlement.deployment import shared_address
    from settlement.deployment_proxy import PROXY

    if record.contract != shared_address():
        proxy = show_address(PROXY)
        note(f"This chain lacks the deployment proxy {proxy}: the contract has an address of its own here")


def public_record(record: "Deployment") -> "Deployment":
    """The record without what may be a secret in its URL."""
    return replace(record, url=public_url(record.url))


def tell_record(record: "Deployment") -> None:
    """Print what a record says, without what may be a secret."""
    show_facts(
        [
            ("chain", f"{record.name} (id {record.chain_id})"),
            ("URL", public_url(record.url)),
            ("contract", show_address(record.contract)),
            ("token", show_address(record.token)),
            ("challenge period", duration(record.challenge_period)),
            ("record", str(home().chain_file(record.name))),
        ]
    )
