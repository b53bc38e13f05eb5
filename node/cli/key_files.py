"""A node's own keys on disk: its identity in the clear (0600), its secp256k1 key in a keystore."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.errors import NotThePassword
from node.cli.output import waiting
from node.cli.passwords import Passwords
from node.errors import DamagedFile
from node.home import create_private, make_private_directory

if TYPE_CHECKING:
    from node.identity import NodeKey
    from payments.types import Address
    from payments.vouchers import SigningKey

SEED_SIZE = 32


def create_node_key(path: Path) -> "NodeKey":
    """Make a node's identity. Raises AlreadyThere."""
    from node.identity import NodeKey

    key = NodeKey(os.urandom(SEED_SIZE))
    save_node_key(path, key)
    return key


def save_node_key(path: Path, key: "NodeKey") -> None:
    """Keep an identity in the clear, readable by its owner only. Raises AlreadyThere."""
    create_private(path, key.seed.hex().encode() + b"\n")


def load_node_key(path: Path) -> "NodeKey":
    """Read a node's identity. Raises FileNotFoundError, DamagedFile; what the file holds is never shown."""
    from node.identity import NodeKey

    try:
        return NodeKey(bytes.fromhex(path.read_text().strip()))
    except ValueError:
        raise DamagedFile(path, "not the 64 hex digits of a node key") from None


def create_keystore(path: Path, password: str) -> "Address":
    """Make a random key locked in a keystore. Raises WalletExists."""
    from settlement.wallet import Wallets, new_key

    key = new_key()
    Wallets(make_private_directory(path.parent)).save(path.stem, key, password)
    return key.address


def keystore_address(path: Path) -> "Address | None":
    """Read whose keystore it is, without a password; None where there is none or it does not tell."""
    from settlement.wallet import Wallets

    entries = Wallets(path.parent).list()
    return next((entry.address for entry in entries if entry.name == path.stem), None)


def unlock_keystore(path: Path, what: str, passwords: Passwords) -> "SigningKey":
    """Open a keystore; `what` names it for people. Raises Locked's branches, and WalletError's."""
    from settlement.errors import WrongPassword
    from settlement.wallet import Wallets

    wallets = Wallets(path.parent)

    def attempt(password: str) -> "SigningKey":
        with waiting(f"Opening {what}"):
            return wallets.unlock(path.stem, password)

    try:
        return passwords.unlock(what, attempt, WrongPassword)
    except WrongPassword:
        raise NotThePassword(what) from None
