"""Wallets that come to be: a key made, imported or kept elsewhere, under a name in this home."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.errors import NotDone
from node.cli.output import note, safe, waiting
from node.cli.passwords import Passwords, ask_secret
from node.cli.session import home
from node.home import Home, check_name, create_private, make_private_directory

if TYPE_CHECKING:
    from payments.types import Address
    from payments.vouchers import SigningKey
    from settlement.wallet import WalletEntry

DEFAULT_NAME = "main"


def make_wallet(
    name: str, passwords: Passwords, *, words: int = 12, phrase_file: Path | None = None
) -> "WalletEntry":
    """Make a wallet, show or write its phrase once. Raises WalletExists, Locked's branches."""
    from settlement.wallet import key_from_phrase, new_phrase

    check_free(name)
    phrase = new_phrase(words)
    password = passwords.choose(f"wallet {name}")
    if phrase_file is not None:
        create_private(phrase_file.absolute(), phrase.encode() + b"\n")
    entry = keep_key(home(), name, key_from_phrase(phrase), password)
    tell_phrase(phrase, phrase_file)
    return entry


def check_free(name: str) -> None:
    """Refuse a name in use before anything is asked. Raises WalletExists, BadName."""
    from settlement.errors import WalletExists

    if check_name("wallet", name) in home().wallet_names():
        raise WalletExists(name)


def keep_key(place: Home, name: str, key: "SigningKey", password: str) -> "WalletEntry":
    """Lock a key into a home's folder of wallets; the first one becomes the default. Raises WalletExists."""
    from settlement.wallet import Wallets

    with waiting(f"Locking wallet {name}"):
        entry = Wallets(make_private_directory(place.wallets)).save(name, key, password)
    _be_default(place, name)
    return entry


def keep_external(place: Home, name: str, url: str, address: "Address") -> "WalletEntry":
    """Note where the key of an account is kept; the first wallet becomes the default. Raises WalletExists."""
    from settlement.wallet import Wallets

    entry = Wallets(make_private_directory(place.wallets)).save_external(name, url, address)
    _be_default(place, name)
    return entry


def _be_default(place: Home, name: str) -> None:
    config = place.config()
    if config.wallet is None:
        place.save_config(replace(config, wallet=name))


def import_keystore(name: str, keystore: Path, passwords: Passwords) -> "WalletEntry":
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
    return keep_key(home(), name, key, used[-1])


def read_key(file: Path) -> "SigningKey":
    """Read a private key; what the file holds is never shown, not even in an error."""
    from payments.errors import MalformedKey
    from payments.vouchers import SigningKey

    try:
        return SigningKey(bytes.fromhex(file.read_text().strip().removeprefix("0x")))
    except (ValueError, MalformedKey):
        raise NotDone(f"{file} holds no private key: 64 hex digits are expected") from None


def read_phrase_key(file: Path | None, path: str | None, what: str) -> "SigningKey":
    """Take a key from a recovery phrase in a file, or typed unseen; `what` it opens is for errors' sentences.

    path: of the account, the first one by default. Raises NotDone, MalformedPhrase, Locked's branches.
    """
    from settlement.wallet import DEFAULT_PATH, key_from_phrase

    try:
        phrase = file.read_text() if file else ask_secret(what, "Recovery phrase (hidden): ")
    except UnicodeDecodeError:
        raise NotDone(f"{file} holds no phrase") from None
    return key_from_phrase(phrase, path or DEFAULT_PATH)


def tell_phrase(phrase: str, file: Path | None) -> None:
    """Show the phrase to a person, once; never into a pipe, a file or a log."""
    import sys

    if file is not None:
        note(f"The recovery phrase is in {safe(str(file))}: move it off this machine.")
    elif sys.stderr.isatty():
        sys.stderr.write(f"\nRecovery phrase, shown this once - write it on paper:\n\n    {phrase}\n\n")
    else:
        note("The recovery phrase was not shown, this is no terminal: keep a copy of the wallet's file.")
