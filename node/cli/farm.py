"""`tithe farm`: a farmer's life. Set up, run, and the books, prices and claims of the other two modules."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import backup, farm_books, farm_check, farm_offer, farm_store, farm_tower, relay
from node.cli.amounts import coins, parse_size, size
from node.cli.errors import NotDone, Unusable
from node.cli.farm_offer import AuditPrice, Capacity, DownloadPrice, MinDeposit, MinValue, StoragePrice
from node.cli.farm_owner import running_target, try_books
from node.cli.gifts import give_gas
from node.cli.identifiers import show_address
from node.cli.key_files import (
    create_keystore,
    create_node_key,
    keystore_address,
    load_node_key,
    unlock_keystore,
)
from node.cli.keys import resolve_owner
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import note, print_json, safe, show_facts
from node.cli.passwords import Passwords
from node.cli.renter import check_books
from node.cli.session import deployment, home, on_chain, run, token_info
from node.home import Home, make_private_directory

if TYPE_CHECKING:
    from node.daemon import FarmerDaemon
    from node.farmer.config import FarmerConfig
    from payments.types import Address
    from payments.vouchers import SigningKey
    from settlement.client import TokenInfo
    from settlement.deployment import Deployment

DEFAULT_PORT = 4501
LOCAL_GAS = 10**18
"""Wei that a farmer's gas key gets on a local chain."""
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to

group = typer.Typer(no_args_is_help=True)
life = typer.Typer()


def add_to(app: typer.Typer) -> None:
    """Put this group into the command line."""
    group.add_typer(life)
    group.add_typer(farm_books.group)
    group.add_typer(farm_check.group)
    group.add_typer(farm_store.group)
    group.add_typer(
        farm_tower.group, name="tower", help="Watchtowers that claim for you while you are offline."
    )
    group.add_typer(farm_offer.group)
    group.add_typer(backup.farm)
    group.add_typer(relay.farmers)
    app.add_typer(
        group,
        name="farm",
        help="Sell storage: set up a farmer, run it, see what it earned, claim it.",
        rich_help_panel="Sell storage",
    )


@life.command()
def init(
    payee: Annotated[
        str | None,
        typer.Option(
            "--payee",
            metavar="WALLET|ADDRESS",
            help="Who is paid; may be cold. Default: your wallet, made if there is none.",
            show_default=False,
        ),
    ] = None,
    join: Annotated[
        Path | None,
        typer.Option(
            "--join",
            metavar="RECORD|HOME",
            help="First join the chain of this record, or of another TITHE_HOME.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Where to listen; 0: any.")
    ] = DEFAULT_PORT,
    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL", help="How others reach it, if not there.", show_default=False),
    ] = None,
    capacity: Capacity = None,
    storage: StoragePrice = None,
    download: DownloadPrice = None,
    audit: AuditPrice = None,
    min_deposit: MinDeposit = None,
    min_value: MinValue = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL",
            help="Keep the books in this PostgreSQL, not in a file. Its password goes into ~/.pgpass.",
            show_default=False,
        ),
    ] = None,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Set up a farmer here: its identity, its gas key, its prices.

    The gas key pays for claims and holds nothing else; the money goes to the
    payee. On a local chain the gas key is filled for you.

    For example:

        tithe farm init --payee 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --capacity 500GB
        TITHE_HOME=~/farm2 tithe farm init --join ~/.tithe --port 4502
        tithe farm init --database postgresql://tithe@localhost/tithe
    """
    place = home()
    if place.farm_config.exists():
        raise NotDone("a farmer is set up here already: see tithe farm prices and tithe farm settings")
    if host in EVERYWHERE and not url:
        raise Unusable(f"others cannot reach {host or 'that'}: add --url, such as http://farm.example:{port}")
    farm_offer.check_amounts(storage, download, audit, min_deposit, min_value)
    room = None if capacity is None else parse_size(capacity)
    _check_database(database)
    named = None if payee is None else resolve_owner(payee)[1]
    if join is not None:
        _join(place, join.expanduser())
    record = deployment(chain)
    token = on_chain(chain, token_info)
    offer = farm_offer.change_offer(
        farm_offer.offer_for(token.decimals, record.challenge_period),
        token.decimals,
        storage=storage,
        download=download,
        audit=audit,
        min_deposit=min_deposit,
        min_value=min_value,
    )
    passwords = Passwords(password_file, password_fd)
    paid = named or _own_payee(passwords, as_json=as_json)
    node, gas = _make_keys(place, passwords)
    config = farm_offer.config_for(token, paid, offer)
    config = replace(
        config,
        host=host,
        port=port,
        urls=tuple(url or ()),
        database=database,
        capacity=config.capacity if room is None else room,
    )
    try_books(place, config, record)
    config.save(place.farm_config)
    if record.local:
        on_chain(chain, lambda connected: give_gas(connected, gas, LOCAL_GAS))
    _tell_farmer(_Farmer(node, gas, record, config), token, as_json=as_json)


def _check_database(url: str | None) -> None:
    """Refuse what is no PostgreSQL, and a password where every program of this machine can read it."""
    from node.farmer.config import check_database

    if url is None:
        return
    try:
        check_database(url)
    except ValueError as error:
        raise Unusable(f"--database: {error}") from None


@life.command("run")
def run_(
    claims: Annotated[
        bool, typer.Option("--claims/--no-claims", help="Claim by itself; needs the gas key's password.")
    ] = True,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Start although shards are gone: they are lost for good, and their renters told.",
        ),
    ] = False,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Run the farmer until Ctrl-C: serve renters, answer audits, claim.

    What happens is logged to stderr. The prices may be changed while it runs.

    It does not start where the disk with its shards is missing, since every audit
    would fail. While the disk is away a farmer that does not run is only offline.

    For example:

        tithe farm run
        tithe farm run --password-file ~/farm.password 2>> farm.log
    """
    from settlement.copies import Copies

    place = home()
    config = farm_offer.load_config()
    record = deployment(chain)
    if (target := running_target()) is not None:
        raise NotDone(f"this farmer runs already, at {target.urls[0]}")
    if config.database is None:
        state = place.farm_state(record.folder)
        check_books(Copies(state.money, state.copies), "tithe farm restore --copy")
    passwords = Passwords(password_file, password_fd)
    key = unlock_keystore(place.farm_gas_key, "the farm's gas key", passwords) if claims else None
    run(_serve(place, config, record, key, accept_loss=accept_loss, as_json=as_json))


async def _serve(
    place: Home,
    config: "FarmerConfig",
    record: "Deployment",
    key: "SigningKey | None",
    *,
    accept_loss: bool,
    as_json: bool,
) -> None:
    """Run the daemon until a signal comes."""
    from node.cli.serving import serve, until_stopped
    from settlement.client import Chain

    stop = until_stopped()
    async with await Chain.connect(record.url, record) as chain:
        if record.local and key is not None and not await chain.balance(key.address):
            await give_gas(chain, key.address, LOCAL_GAS)
        daemon = farm_books.make_daemon(place, config, record, key, chain, accept_loss=accept_loss)
        taken = f"{config.host}:{config.port} is in use: choose another by tithe farm settings --port N"
        await serve(daemon, stop, lambda: _tell_running(daemon, as_json=as_json), taken)


@dataclass(frozen=True, slots=True)
class _Farmer:
    node: bytes
    gas: "Address"
    record: "Deployment"
    config: "FarmerConfig"

    @property
    def url(self) -> str:
        if self.config.urls:
            return self.config.urls[0]
        return f"http://{self.config.host}:{self.config.port or '(any port)'}"


def _join(place: Home, record: Path) -> None:
    from node.cli.records import join_chain

    run(join_chain(place, record))


def _own_payee(passwords: Passwords, *, as_json: bool) -> "Address":
    """Return the default wallet's address; a wallet is made where there is none."""
    from node.cli.wallet import DEFAULT_NAME, make_wallet

    if not home().wallet_names():
        if not as_json:
            note("No --payee is given and there is no wallet here: making one to be paid to.")
        make_wallet(DEFAULT_NAME, passwords)
        if passwords.prompted:
            note("The farm's gas key gets the same password.")
    return resolve_owner(None)[1]


def _make_keys(place: Home, passwords: Passwords) -> "tuple[bytes, Address]":
    """Make identity and gas key; those an interrupted run has made are kept."""
    make_private_directory(place.farm_config.parent)
    try:
        node = load_node_key(place.farm_node_key).node
    except FileNotFoundError:
        node = create_node_key(place.farm_node_key).node
    gas = keystore_address(place.farm_gas_key)
    if gas is None:
        gas = create_keystore(place.farm_gas_key, passwords.choose("the farm's gas key"))
    return node, gas


def _tell_farmer(farmer: _Farmer, token: "TokenInfo", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "node": farmer.node,
                "payee": farmer.config.payee,
                "gas_key": farmer.gas,
                "url": farmer.url,
                "chain": farmer.record.name,
                "token": token,
                "settings": farmer.config,
            }
        )
        return
    price = farmer.config.offer.prices.storage_per_gb_month
    show_facts(
        [
            ("farmer", "0x" + farmer.node.hex()),
            ("chain", farmer.record.name),
            ("payee", show_address(farmer.config.payee)),
            ("gas key", show_address(farmer.gas)),
            ("will listen at", farmer.url),
            ("capacity", size(farmer.config.capacity)),
            ("asks", f"{coins(price, token)} for a GB and 30 days"),
        ]
    )
    if not farmer.record.local:
        note(f"Send a little ether to the gas key {show_address(farmer.gas)}: it pays for claims.")
    note("Next: tithe farm run. Renters find you by: tithe peers add URL")


def _tell_running(daemon: "FarmerDaemon", *, as_json: bool) -> None:
    import os

    node = daemon.farmer.farm.node
    if as_json:
        print_json({"node": node, "url": daemon.url, "pid": os.getpid()})
    else:
        show_facts([("farmer", "0x" + node.hex()), ("listens at", daemon.url)])
        note(f"It runs until Ctrl-C. Renters add it by: tithe peers add {safe(daemon.url)}")
