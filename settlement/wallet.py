"""A wallet: one secp256k1 key in one encrypted file, as geth and cast keep them (Web3 Secret Storage 3).

Keys are made at random, imported, or derived from a BIP-39 phrase. Listing needs no password. A secret
appears in no repr, error or log; it leaves this module only inside a `SigningKey`.
"""

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from eth_account.hdaccount import generate_mnemonic, key_from_seed, seed_from_mnemonic
from eth_account.types import Language
from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from eth_utils.exceptions import ValidationError

from payments.errors import MalformedKey
from payments.types import Address
from payments.vouchers import SigningKey
from settlement.errors import MalformedPhrase, MalformedWallet, UnknownWallet, WalletExists, WrongPassword
from settlement.external_signer import ExternalSigner
from settlement.files import write_atomic

DEFAULT_PATH: Final = "m/44'/60'/0'/0/0"
"""BIP-44 path of the first Ethereum account; the last number counts accounts."""
SCRYPT_N: Final = 2**18
"""Work of the password: what geth calls standard (n 262144, r 8, p 1), about a second."""
LIGHT_SCRYPT_N: Final = 2**12
"""What geth calls light: for throw-away keys and tests."""
PHRASE_LENGTHS: Final = (12, 15, 18, 21, 24)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class WalletEntry:
    """A wallet in a folder. `address` is None where the file does not tell (cast leaves it out)."""

    name: str
    address: Address | None
    signer_url: str | None = None
    """Where the external signer listens that keeps the key; None where the key is in the file."""


def new_key() -> SigningKey:
    """Make a key from the system's randomness."""
    while True:
        try:
            return SigningKey(secrets.token_bytes(32))
        except MalformedKey:  # one in 2**128
            continue


def new_phrase(words: int = 12) -> str:
    """Make a BIP-39 phrase of English words (12 to 24, in threes)."""
    if words not in PHRASE_LENGTHS:
        raise MalformedPhrase
    return generate_mnemonic(words, Language.ENGLISH)


def key_from_phrase(phrase: str, path: str = DEFAULT_PATH, passphrase: str = "") -> SigningKey:
    """Derive a key from a BIP-39 phrase along a BIP-32 path. Raises MalformedPhrase."""
    try:
        seed = seed_from_mnemonic(" ".join(phrase.split()), passphrase)
        return SigningKey(key_from_seed(seed, path))
    except (ValidationError, ValueError):
        raise MalformedPhrase from None  # the cause would show the phrase


class Wallets:
    """A folder of wallets, one file `<name>.json` each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, key: SigningKey, password: str, *, scrypt_n: int = SCRYPT_N) -> WalletEntry:
        """Encrypt a key and write it, mode 0600. Raises WalletExists, MalformedWallet (the name)."""
        path = self._path(name)
        if path.exists():
            raise WalletExists(name)
        keystore = create_keyfile_json(
            key.secret, password.encode(), kdf="scrypt", iterations=scrypt_n, salt_size=32
        )
        keystore["address"] = key.address.hex()
        try:
            write_atomic(path, json.dumps(keystore).encode(), exclusive=True)
        except FileExistsError:
            raise WalletExists(name) from None
        return WalletEntry(name, key.address)

    def save_external(self, name: str, url: str, address: Address) -> WalletEntry:
        """Note an account whose key an external signer keeps. Raises WalletExists, MalformedWallet."""
        path = self._path(name)
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise MalformedWallet(name, f"{url} is no address of a signer: write http://host:port")
        try:
            write_atomic(
                path, json.dumps({"signer_url": url, "address": address.hex()}).encode(), exclusive=True
            )
        except FileExistsError:
            raise WalletExists(name) from None
        return WalletEntry(name, address, url)

    def external(self, name: str) -> ExternalSigner | None:
        """The external signer behind a wallet; None where its key is in the file."""
        entry = _external(self._path(name))
        if entry is None or entry.signer_url is None or entry.address is None:
            return None
        return ExternalSigner(entry.signer_url, entry.address)

    def list(self) -> list[WalletEntry]:
        """List the wallets by name, without a password. Files that are no keystores are left out."""
        entries = []
        for path in sorted(self.folder.glob("*.json")):
            entry = _external(path)
            try:
                entries.append(entry or WalletEntry(path.stem, _address(_parse(path))))
            except MalformedWallet:
                continue
        return entries

    def unlock(self, name: str, password: str) -> SigningKey:
        """Decrypt a wallet. Raises UnknownWallet, WrongPassword or MalformedWallet."""
        path = self._path(name)
        if not path.exists():
            raise UnknownWallet(name, str(self.folder))
        return decrypt(path, password)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise MalformedWallet(
                name, "a name has letters, digits, dots, dashes and underscores, 64 at most"
            )
        return self.folder / f"{name}.json"


def decrypt(path: Path, password: str) -> SigningKey:
    """Decrypt any keystore file, geth's and cast's included. Raises WrongPassword or MalformedWallet."""
    keystore = _parse(path)
    try:
        key = SigningKey(decode_keyfile_json(keystore, password.encode()))
    except ValueError as err:
        if "MAC mismatch" in str(err):
            raise WrongPassword(path.stem) from None
        raise MalformedWallet(path.stem, "broken encryption parameters") from None
    except (KeyError, TypeError, MalformedKey):
        raise MalformedWallet(path.stem, "broken encryption parameters") from None
    if _address(keystore) not in (None, key.address):
        raise MalformedWallet(path.stem, "the key inside is not that of the address outside")
    return key


def _external(path: Path) -> WalletEntry | None:
    """Read a wallet whose key an external signer keeps; None for any other file."""
    try:
        noted = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(noted, dict) or not isinstance(noted.get("signer_url"), str):
        return None
    return WalletEntry(path.stem, _address(noted), noted["signer_url"])


def _parse(path: Path) -> dict[str, Any]:
    try:
        keystore = json.loads(path.read_text())
    except (OSError, ValueError):
        raise MalformedWallet(path.stem, "not a readable JSON file") from None
    if not isinstance(keystore, dict) or keystore.get("version") != 3 or "crypto" not in keystore:  # noqa: PLR2004
        raise MalformedWallet(path.stem, "not a keystore of version 3")
    return keystore


def _address(keystore: dict[str, Any]) -> Address | None:
    try:
        address = bytes.fromhex(str(keystore["address"]).removeprefix("0x"))
    except (KeyError, ValueError):
        return None
    return Address(address) if len(address) == 20 else None  # noqa: PLR2004 - an address has 20 bytes
