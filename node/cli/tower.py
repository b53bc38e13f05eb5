"""`tithe tower`: hold the vouchers of farmers, and claim for them while they are away."""

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import ETHER_DECIMALS, counted, tokens
from node.cli.errors import Unusable
from node.cli.identifiers import show_address
from node.cli.key_files import (
    create_keystore,
    create_node_key,
    keystore_address,
    load_node_key,
    unlock_keystore,
)
from node.cli.options import HOST, PORT, ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import note, print_json, safe, show_facts
from node.cli.passwords import Passwords
from node.cli.session import deployment, home, run
from node.clock import wall_clock
from node.hex import from_hex
from node.home import make_private_directory

if TYPE_CHECKING:
    from node.home import Home
    from node.identity import NodeKey
    from node.tower_daemon import TowerDaemon
    from payments.types import NodeId
    from payments.vouchers import SigningKey
    from settlement.deployment import Deployment

DEFAULT_PORT = 4601
LOCAL_LOOK_SECONDS = 1.0
LOOK_SECONDS = 12.0

group = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Put this group into the command line."""
    app.add_typer(
        group,
        name="tower",
        help="Watch over farmers: claim for them when they are offline and a payer closes.",
        rich_help_panel="Sell storage",
    )


@group.command("run")
def run_(
    farmer: Annotated[
        list[str] | None,
        typer.Option(
            "--farmer", metavar="NODE", help="Serve this farmer's node; may be repeated.", show_default=False
        ),
    ] = None,
    anybody: Annotated[bool, typer.Option("--anybody", help="Serve every farmer that asks.")] = False,
    host: Annotated[str, HOST] = "127.0.0.1",
    port: Annotated[int, PORT] = DEFAULT_PORT,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Run a watchtower until Ctrl-C.

    Farmers send it their newest vouchers. When a payer asks to close and half of
    the challenge period has passed, it claims what the farmer has not: the money
    goes to the farmer's payee, the gas is yours. An old voucher can do no harm.
    The first run makes the tower's keys; its gas key needs a little ether.

    For example:

        tithe tower run --farmer 0x5f1e...
        TITHE_HOME=~/farm tithe farm tower add 0xTOWER@http://127.0.0.1:4601
    """
    if anybody == bool(farmer):
        raise Unusable("name whom to serve: --farmer NODE, or --anybody")
    serves = None if anybody else {_node(one) for one in farmer or ()}
    place, record = home(), deployment(chain)
    passwords = Passwords(password_file, password_fd)
    key = _node_key(place)
    if keystore_address(place.tower_gas_key) is None:
        create_keystore(place.tower_gas_key, passwords.choose("the tower's gas key"))
    gas_key = unlock_keystore(place.tower_gas_key, "the tower's gas key", passwords)
    run(_serve(_Tower(place, record, key, gas_key, serves), host, port, as_json=as_json))


@dataclass(frozen=True, slots=True)
class _Tower:
    """What a tower is made of."""

    place: "Home"
    record: "Deployment"
    key: "NodeKey"
    gas_key: "SigningKey"
    serves: "set[NodeId] | None"


async def _serve(made: _Tower, host: str, port: int, *, as_json: bool) -> None:
    """Run the daemon until a signal comes."""
    from node.cli.gifts import give_gas
    from node.cli.serving import serve, until_stopped
    from node.tower.tower import Tower
    from node.tower_daemon import TowerDaemon, open_tower_books
    from settlement.client import Chain

    stop, record, gas = until_stopped(), made.record, made.gas_key.address
    with closing(open_tower_books(made.place.tower_state(record.folder).money)) as books:
        async with await Chain.connect(record.url, record) as chain:
            if record.local and not await chain.balance(gas):
                await give_gas(chain, gas, 10**ETHER_DECIMALS)
            balance = await chain.balance(gas)
            tower = Tower(books, chain, made.gas_key, wall_clock, made.serves)
            seconds = LOCAL_LOOK_SECONDS if record.local else LOOK_SECONDS
            daemon = TowerDaemon(tower, made.key, host, port, seconds)
            taken = f"{host}:{port} is in use: choose another by --port N"
            await serve(daemon, stop, lambda: _tell(made, daemon, balance, as_json=as_json), taken)


def _tell(made: _Tower, daemon: "TowerDaemon", balance: int, *, as_json: bool) -> None:
    named = f"0x{made.key.node.hex()}@{daemon.url}"
    if as_json:
        print_json(
            {"node": made.key.node, "url": daemon.url, "tower": named, "gas_key": made.gas_key.address}
        )
        return
    show_facts(
        [
            ("tower", "0x" + made.key.node.hex()),
            ("listens at", daemon.url),
            ("gas key", show_address(made.gas_key.address)),
            ("its gas money", tokens(balance, ETHER_DECIMALS, "ETH")),
            ("serves", "anybody" if made.serves is None else counted(len(made.serves), "farmer")),
        ]
    )
    note(f"It runs until Ctrl-C. Farmers name it by: tithe farm tower add {safe(named)}")


def _node_key(place: "Home") -> "NodeKey":
    try:
        return load_node_key(place.tower_node_key)
    except FileNotFoundError:
        make_private_directory(place.tower_node_key.parent)
        return create_node_key(place.tower_node_key)


def _node(text: str) -> "NodeId":
    from payments.types import NodeId

    try:
        return NodeId(from_hex(text, 32))
    except ValueError:
        raise Unusable(f"{text} is no node: write 0x and 64 digits, as tithe farm status does") from None
