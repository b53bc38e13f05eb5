"""`tithe chain up, down, give, warp`: a chain on this machine that costs nothing and obeys."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import moment, parse_duration, parse_number
from node.cli.errors import NotDone
from node.cli.gifts import DEFAULT_GAS_GIFT, DEFAULT_GIFT, GasGift, TokenGift, give_both, require_local
from node.cli.identifiers import show_address
from node.cli.keys import resolve_owner
from node.cli.options import ChainName, Json
from node.cli.output import note, print_json, safe, say, show_facts, waiting
from node.cli.session import home, on_chain
from node.home import make_private_directory

if TYPE_CHECKING:
    from payments.types import Address
    from settlement.client import Chain
    from settlement.local_chain import LocalChain

DEFAULT_PORT = 8545
POLL_SECONDS = 0.5

group = typer.Typer()


class Kind(StrEnum):
    """Local chains that run as programs."""

    ANVIL = "anvil"
    GANACHE = "ganache"


def local_url() -> str:
    """Return where the local chain of this home answers, or would."""
    from settlement.local_chain import LocalChain

    running = LocalChain.load(home().local_chain_file)
    return running.url if running else f"http://127.0.0.1:{DEFAULT_PORT}"


@group.command()
def up(
    kind: Annotated[Kind, typer.Option("--kind", help="Which program runs the chain.")] = Kind.ANVIL,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0: any free one.")
    ] = DEFAULT_PORT,
    block_time: Annotated[
        float,
        typer.Option(
            "--block-time", metavar="SECONDS", min=0, help="Between blocks; 0: one for each transaction."
        ),
    ] = 1.0,
    accounts: Annotated[
        int, typer.Option("--accounts", metavar="N", min=1, max=1000, help="Rich accounts.")
    ] = 10,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running; stop it by: tithe chain down.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start a chain on this machine, with rich accounts.

    It costs nothing, and forgets everything when it ends. In the foreground
    until Ctrl-C, or with --detach in the background.

    For example:

        tithe chain up --detach
        tithe chain up --kind ganache --port 0
    """
    from settlement.local_chain import ChainKind, LocalChain, dev_keys

    place = home()
    running = LocalChain.load(place.local_chain_file)
    if running is not None:
        raise NotDone(
            f"a local {running.kind} chain runs already at {running.url}: stop it by tithe chain down"
        )
    make_private_directory(place.root)
    with waiting(f"Starting {kind}", quiet=as_json):
        chain = LocalChain.start(
            ChainKind(kind), port=port, block_time=block_time, accounts=accounts, detached=detach
        )
    chain.save(place.local_chain_file)
    rich = [key.address for key in dev_keys(accounts)]
    if as_json:
        print_json({"kind": chain.kind, "url": chain.url, "pid": chain.pid, "accounts": rich})
    else:
        _tell_chain(chain, rich)
    if detach:
        note("It runs in the background; stop it by: tithe chain down")
    else:
        note("It runs until Ctrl-C. In another terminal, go on with: tithe wallet new, tithe chain deploy")
        _stay(chain, place.local_chain_file)


@group.command()
def down(as_json: Json = False) -> None:
    """Stop the local chain; what was on it is gone.

    For example:

        tithe chain down
    """
    from settlement.local_chain import LocalChain

    file = home().local_chain_file
    chain = LocalChain.load(file)
    file.unlink(missing_ok=True)
    if chain is None:
        raise NotDone("no local chain runs here")
    chain.stop()
    if as_json:
        print_json({"stopped": chain.url, "pid": chain.pid})
    else:
        say(f"Stopped the {chain.kind} chain at {chain.url}.")


@group.command()
def give(
    to: Annotated[
        str | None,
        typer.Argument(metavar="[WALLET|ADDRESS]", help="Who gets it. Default: your default wallet."),
    ] = None,
    gift: TokenGift = DEFAULT_GIFT,
    gas_gift: GasGift = DEFAULT_GAS_GIFT,
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Give tokens and gas money away, on a local chain.

    For example:

        tithe chain give
        tithe chain give 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --tokens 0 --eth 1
    """
    coins, ether = parse_number(gift), parse_number(gas_gift)
    name, address = resolve_owner(to)
    with waiting("Giving", quiet=as_json):
        given = on_chain(chain, lambda chain: give_both(chain, name, address, coins, ether))
    if as_json:
        print_json(given)
    else:
        say(f"{safe(given.name)} got {given.shown}.")


@group.command()
def warp(
    span: Annotated[str, typer.Argument(metavar="DURATION", help="How far ahead, such as 90s, 12h or 30d.")],
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Move a local chain's clock forward, to see the end of a challenge period.

    Only the chain's clock moves: farmers and renters go by the clock of the machine.

    For example:

        tithe chain warp 60s
    """
    seconds = parse_duration(span)

    async def move(chain: "Chain") -> int:
        from settlement.local_chain import warp

        require_local(chain.deployment)
        await warp(chain.rpc, seconds)
        return (await chain.head()).timestamp

    now = on_chain(chain, move)
    if as_json:
        print_json({"time": now, "moved": seconds})
    else:
        say(f"The chain's clock is at {moment(now)}.")


def _stay(chain: "LocalChain", file: Path) -> None:
    """Keep a chain in the foreground until it, or the user, ends it."""
    import signal

    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):  # an exception might come in the middle of anything
        signal.signal(number, lambda number, _: asked.append(number))
    try:
        while chain.alive and not asked:
            time.sleep(POLL_SECONDS)
        if not asked:
            raise NotDone("the chain has ended by itself")
        chain.stop()
        note("\nStopped; what was on the chain is gone.")
    finally:
        file.unlink(missing_ok=True)


def _tell_chain(chain: "LocalChain", accounts: "list[Address]") -> None:
    show_facts(
        [
            ("chain", chain.kind),
            ("URL", chain.url),
            ("rich accounts", f"{len(accounts)} of the phrase everybody knows: test test ... junk"),
            ("first", show_address(accounts[0])),
        ]
    )
