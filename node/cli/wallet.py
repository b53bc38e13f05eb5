"""`tithe wallet`: keys that hold money. New, imported, kept elsewhere, listed, and their balances."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import wallet_queue, wallet_send
from node.cli.errors import Unusable
from node.cli.identifiers import show_address
from node.cli.keys import resolve_owners
from node.cli.new_wallets import (
    DEFAULT_NAME,
    check_free,
    import_keystore,
    keep_external,
    keep_key,
    make_wallet,
    read_key,
    read_phrase_key,
)
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import amount, note, print_json, show_facts, show_table
from node.cli.passwords import Passwords
from node.cli.session import home, on_chain

if TYPE_CHECKING:
    from payments.types import Address
    from settlement.wallet import WalletEntry

group = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="[NAME]", help="What to call it here.", show_default=True)]


def add_to(app: typer.Typer) -> None:
    """Put this group into the command line."""
    group.add_typer(wallet_send.group)
    group.add_typer(wallet_queue.group)
    app.add_typer(
        group,
        name="wallet",
        help="Keys that hold money: make, import, list them; see balances, send tokens, cancel.",
        rich_help_panel="Set up",
    )


@group.command()
def new(
    name: Name = DEFAULT_NAME,
    words: Annotated[int, typer.Option("--words", metavar="N", help="Length of the phrase: 12 to 24.")] = 12,
    phrase_file: Annotated[
        Path | None,
        typer.Option(
            "--phrase-file",
            metavar="FILE",
            help="Write the recovery phrase into this new file instead of showing it.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Make a wallet: a new key, locked by a password, in one file.

    The file is a Web3 keystore as geth and cast use it. Its recovery phrase is
    shown once, on a terminal only: write it on paper. Whoever has it has the money.

    For example:

        tithe wallet new
        tithe wallet new savings --words 24
    """
    from settlement.wallet import PHRASE_LENGTHS

    if words not in PHRASE_LENGTHS:
        raise Unusable(f"a phrase has {', '.join(map(str, PHRASE_LENGTHS))} words, not {words}")
    entry = make_wallet(name, Passwords(password_file, password_fd), words=words, phrase_file=phrase_file)
    _tell_new(entry, as_json=as_json)
    if not home().chain_names():
        note("Next: tithe chain deploy on a local chain (tithe chain up), or tithe chain add to join another")


@group.command("import")
def import_(
    name: Name = DEFAULT_NAME,
    keystore: Annotated[
        Path | None,
        typer.Option(
            "--keystore", metavar="FILE", help="A keystore of geth, cast or Tithebarn.", show_default=False
        ),
    ] = None,
    phrase_file: Annotated[
        Path | None,
        typer.Option(
            "--phrase-file", metavar="FILE", help="A file with a BIP-39 phrase.", show_default=False
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="A file with a private key, 64 hex digits.",
            show_default=False,
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            metavar="PATH",
            help="Account of the phrase; the first is m/44'/60'/0'/0/0.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Bring a wallet you have: a phrase (typed hidden, or from a file), a keystore, or a private key.

    A keystore keeps its password, which is asked for; the others get a new one.

    For example:

        tithe wallet import                                   asks for the phrase
        tithe wallet import --keystore ~/.foundry/keystores/me
    """
    if sum(source is not None for source in (keystore, phrase_file, key_file)) > 1:
        raise Unusable("name one of --keystore, --phrase-file and --key-file")
    if path is not None and (keystore or key_file):
        raise Unusable("--path belongs to a phrase, not to a keystore or a private key")
    check_free(name)
    passwords = Passwords(password_file, password_fd)
    if keystore is not None:
        entry = import_keystore(name, keystore, passwords)
    else:
        key = read_key(key_file) if key_file else read_phrase_key(phrase_file, path, "the wallet")
        entry = keep_key(home(), name, key, passwords.choose(f"wallet {name}"))
    _tell_new(entry, as_json=as_json)


@group.command()
def external(
    signer_url: Annotated[str, typer.Argument(metavar="URL", help="Where the signer listens.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The account it signs for.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What to call it here.")] = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Use an account whose key another program keeps, such as clef: it asks you before it signs.

    The wallet funds, closes and withdraws like any other; its key never comes here.
    What signs vouchers, and may be hot, is made here.

    For example:

        tithe wallet external http://127.0.0.1:8550 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
        tithe channel fund --wallet main
    """
    from node.cli.identifiers import parse_address

    check_free(name)
    entry = keep_external(home(), name, signer_url, parse_address(address))
    _tell_new(entry, as_json=as_json)


@group.command("list")
def list_(as_json: Json = False) -> None:
    """List the wallets kept here. Needs no password.

    For example:

        tithe wallet list
    """
    from settlement.wallet import Wallets

    place = home()
    entries = Wallets(place.wallets).list()
    default = place.config().wallet
    if as_json:
        print_json([{"name": e.name, "address": e.address, "default": e.name == default} for e in entries])
    elif not entries:
        note("No wallet yet: tithe wallet new")
    else:
        show_table(
            ("wallet", "address", ""),
            [(e.name, _shown(e.address), "default" if e.name == default else "") for e in entries],
        )


@group.command()
def balance(
    owners: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WALLET|ADDRESS]...", help="Whose. All wallets when none is named."),
    ] = None,
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Show tokens, and ether for gas, of your wallets or of any address.

    For example:

        tithe wallet balance
        tithe wallet balance 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --json
    """
    from node.cli.amounts import ETHER_DECIMALS, tokens
    from settlement.client import Chain, TokenInfo

    who = resolve_owners(owners or [])

    async def read(chain: Chain) -> tuple[TokenInfo, list[tuple[int, int]]]:
        info = await chain.token_info()
        held = [(await chain.token_balance(a), await chain.balance(a)) for _, a in who]
        return info, held

    info, held = on_chain(chain, read)
    if as_json:
        print_json(
            {
                "token": {"address": info.address, "symbol": info.symbol, "decimals": info.decimals},
                "balances": [
                    {"name": name, "address": address, "tokens": amount(coins), "wei": amount(wei)}
                    for (name, address), (coins, wei) in zip(who, held, strict=True)
                ],
            }
        )
        return
    show_table(
        ("wallet", "address", f">{info.symbol}", ">ETH"),
        [
            (name or "", _shown(address), tokens(coins, info.decimals), tokens(wei, ETHER_DECIMALS))
            for (name, address), (coins, wei) in zip(who, held, strict=True)
        ],
    )


def _tell_new(entry: "WalletEntry", *, as_json: bool) -> None:
    file = home().wallets / f"{entry.name}.json"
    if as_json:
        print_json({"name": entry.name, "address": entry.address, "file": file})
    else:
        show_facts([("wallet", entry.name), ("address", _shown(entry.address)), ("file", str(file))])


def _shown(address: "Address | None") -> str:
    return "(unknown until opened)" if address is None else show_address(address)
