"""`tithe farm init`: a farmer set up. Its identity, its gas key, its prices, how it is reached."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import check_amounts, coins, parse_size, size
from node.cli.errors import NotDone, Unusable
from node.cli.farm_offer import (
    AuditPrice,
    Capacity,
    DownloadPrice,
    MinDeposit,
    MinValue,
    StoragePrice,
    change_offer,
)
from node.cli.farm_owner import try_books
from node.cli.gifts import give_gas
from node.cli.identifiers import show_address
from node.cli.key_files import create_keystore, create_node_key, keystore_address, load_node_key
from node.cli.keys import resolve_owner
from node.cli.options import HOST, PORT, ChainName, Json, PasswordFd, PasswordFile, Urls
from node.cli.output import note, print_json, show_facts
from node.cli.passwords import Passwords
from node.cli.session import deployment, home, on_chain, run, token_info
from node.home import Home, make_private_directory

if TYPE_CHECKING:
    from node.farmer.config import FarmerConfig, Offer
    from payments.types import Address, Amount
    from settlement.client import TokenInfo
    from settlement.deployment import Deployment

DEFAULT_PORT = 4501
LOCAL_GAS = 10**18
"""Wei that a farmer's gas key gets on a local chain."""
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to

group = typer.Typer()


@group.command()
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
    host: Annotated[str, HOST] = "127.0.0.1",
    port: Annotated[int, PORT] = DEFAULT_PORT,
    url: Urls = None,
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
    check_amounts(storage, download, audit, min_deposit, min_value)
    room = None if capacity is None else parse_size(capacity)
    _check_database(database)
    named = None if payee is None else resolve_owner(payee)[1]
    if join is not None:
        _join(place, join.expanduser())
    record = deployment(chain)
    token = on_chain(chain, token_info)
    offer = change_offer(
        _usual_offer(token.decimals, record.challenge_period),
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
    config = _usual_config(token, paid, offer)
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


def _join(place: Home, record: Path) -> None:
    from node.cli.records import join_chain

    run(join_chain(place, record))


def _own_payee(passwords: Passwords, *, as_json: bool) -> "Address":
    """Return the default wallet's address; a wallet is made where there is none."""
    from node.cli.new_wallets import DEFAULT_NAME, make_wallet

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


def _usual_offer(decimals: int, challenge_period: int) -> "Offer":
    """Scale the usual offer to the token's decimals, and accept the challenge period of the chain."""
    from node.farmer.config import Offer
    from payments.types import Seconds

    usual = Offer()
    prices = replace(
        usual.prices,
        storage_per_gb_month=_scaled(usual.prices.storage_per_gb_month, decimals),
        download_per_gb=_scaled(usual.prices.download_per_gb, decimals),
        per_audit=_scaled(usual.prices.per_audit, decimals),
    )
    return replace(
        usual,
        prices=prices,
        min_deposit=_scaled(usual.min_deposit, decimals),
        min_challenge_period=Seconds(min(usual.min_challenge_period, challenge_period)),
    )


def _usual_config(token: "TokenInfo", payee: "Address", offer: "Offer") -> "FarmerConfig":
    """Start a configuration: the usual limits in the token's decimals, claims from one token on."""
    from node.farmer.config import TOKEN, FarmerConfig

    usual = FarmerConfig(payee, (token.address,), offer=offer)
    return replace(
        usual,
        max_exposure=_scaled(usual.max_exposure, token.decimals),
        claims=replace(usual.claims, min_amount=_scaled(TOKEN, token.decimals)),
    )


def _scaled(amount: int, decimals: int) -> "Amount":
    """An amount of the usual token in base units of one with these decimals, rounded up."""
    from node.farmer.config import TOKEN
    from payments.types import Amount

    return Amount(-(-amount * 10**decimals // TOKEN))


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
