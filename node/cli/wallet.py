"""`tithe wallet`: keys that hold money. New, imported, listed, their balances, and sending from them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import wallet_queue, wallet_send
from node.cli.errors import NotDone, Unusable
from node.cli.identifiers import show_address
from node.cli.keys import resolve_owners
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import amount, note, print_json, safe, show_facts, show_table, waiting
from node.cli.passwords import Passwords, ask_secret
from node.cli.session import home, on_chain

if TYPE_CHECKING:
    from payments.types import Address
    from payments.vouchers import SigningKey
    from settlement.wallet import WalletEntry

DEFAULT_NAME = "main"

group = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="What to call it here.", show_default=True)]


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
    _check_free(name)
    passwords = Passwords(password_file, password_fd)
    if keystore is not None:
        entry = _import_keystore(name, keystore, passwords)
    else:
        key = _read_key(key_file) if key_file else _read_phrase_key(phrase_file, path)
        entry = _keep(name, key, passwords.choose(f"wallet {name}"))
    _tell_new(entry, as_json=as_json)


@group.command()
def external(
    signer_url: Annotated[str, typer.Argument(metavar="URL", help="Where the signer listens.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The account it signs for.")],
    name: Annotated[str, typer.Option("--name", help="What to call it here.")] = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Use an account whose key another program keeps, such as clef: it asks you before it signs.

    The wallet funds, closes and withdraws like any other; its key never comes here.
    What signs vouchers, and may be hot, is made here.

    For example:

        tithe wallet external http://127.0.0.1:8550 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
        tithe channel fund --wallet main
    """
    from dataclasses import replace

    from node.cli.identifiers import parse_address
    from node.home import make_private_directory
    from settlement.wallet import Wallets

    _check_free(name)
    place = home()
    wallets = Wallets(make_private_directory(place.wallets))
    entry = wallets.save_external(name, signer_url, parse_address(address))
    if place.config().wallet is None:
        place.save_config(replace(place.config(), wallet=name))
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


def make_wallet(
    name: str, passwords: Passwords, *, words: int = 12, phrase_file: Path | None = None
) -> "WalletEntry":
    """Make a wallet, show or write its phrase once. Raises WalletExists, Locked's branches."""
    from settlement.wallet import key_from_phrase, new_phrase

    _check_free(name)
    phrase = new_phrase(words)
    password = passwords.choose(f"wallet {name}")
    if phrase_file is not None:
        _write_phrase(phrase_file, phrase)
    entry = _keep(name, key_from_phrase(phrase), password)
    tell_phrase(phrase, phrase_file)
    return entry


def _check_free(name: str) -> None:
    """Refuse a name in use before anything is asked."""
    from node.home import check_name
    from settlement.errors import WalletExists

    if check_name("wallet", name) in home().wallet_names():
        raise WalletExists(name)


def _keep(name: str, key: "SigningKey", password: str) -> "WalletEntry":
    """Lock a key into the folder of wallets; the first one becomes the default."""
    from dataclasses import replace

    from node.home import make_private_directory
    from settlement.wallet import Wallets

    place = home()
    with waiting(f"Locking wallet {name}"):
        entry = Wallets(make_private_directory(place.wallets)).save(name, key, password)
    config = place.config()
    if config.wallet is None:
        place.save_config(replace(config, wallet=name))
    return entry


def _import_keystore(name: str, keystore: Path, passwords: Passwords) -> "WalletEntry":
    """Open it to see that it can be opened, then lock the key by the same password."""
    from settlement.errors import WrongPassword
    from settlement.wallet import decrypt

    if not keystore.is_file():
        raise NotDone(f"{keystore}: no such file")
    used: list[str] = []

    def attempt(password: str) -> "SigningKey":
        key = decrypt(keystore, password)
        used.append(password)
        return key

    key = passwords.unlock(f"keystore {keystore.name}", attempt, WrongPassword)
    return _keep(name, key, used[-1])


def _read_key(file: Path) -> "SigningKey":
    """Read a private key; what the file holds is never shown, not even in an error."""
    from payments.errors import MalformedKey
    from payments.vouchers import SigningKey

    try:
        return SigningKey(bytes.fromhex(file.read_text().strip().removeprefix("0x")))
    except (ValueError, MalformedKey):
        raise NotDone(f"{file} holds no private key: 64 hex digits are expected") from None


def _read_phrase_key(file: Path | None, path: str | None) -> "SigningKey":
    from settlement.wallet import DEFAULT_PATH, key_from_phrase

    try:
        phrase = file.read_text() if file else ask_secret("the wallet", "Recovery phrase (hidden): ")
    except UnicodeDecodeError:
        raise NotDone(f"{file} holds no phrase") from None
    return key_from_phrase(phrase, path or DEFAULT_PATH)


def _write_phrase(file: Path, phrase: str) -> None:
    from node.home import create_private

    create_private(file.absolute(), phrase.encode() + b"\n")


def tell_phrase(phrase: str, file: Path | None) -> None:
    """Show the phrase to a person, once; never into a pipe, a file or a log."""
    import sys

    if file is not None:
        note(f"The recovery phrase is in {safe(str(file))}: move it off this machine.")
    elif sys.stderr.isatty():
        sys.stderr.write(f"\nRecovery phrase, shown this once - write it on paper:\n\n    {phrase}\n\n")
    else:
        note("The recovery phrase was not shown, this is no terminal: keep a copy of the wallet's file.")


def _tell_new(entry: "WalletEntry", *, as_json: bool) -> None:
    file = home().wallets / f"{entry.name}.json"
    if as_json:
        print_json({"name": entry.name, "address": entry.address, "file": file})
    else:
        show_facts([("wallet", entry.name), ("address", _shown(entry.address)), ("file", str(file))])


def _shown(address: "Address | None") -> str:
    return "(unknown until opened)" if address is None else show_address(address)
