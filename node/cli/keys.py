"""The wallets of this home as commands need them: whose address, and the key behind it."""

from typing import TYPE_CHECKING

from node.cli.errors import NotDone, NoWallet
from node.cli.identifiers import parse_address
from node.cli.key_files import unlock_keystore
from node.cli.passwords import Passwords
from node.cli.session import home, wallet_name
from payments.types import Address

if TYPE_CHECKING:
    from payments.vouchers import SigningKey


def resolve_owners(texts: list[str]) -> list[tuple[str | None, Address]]:
    """Resolve wallets' names and addresses; all wallets when none is named. Raises NoWallet, BadHex."""
    from settlement.wallet import Wallets

    entries = {entry.name: entry for entry in Wallets(home().wallets).list()}
    if not texts:
        if not entries:
            raise NoWallet(None, ())
        texts = [name for name, entry in entries.items() if entry.address is not None]
    owners: list[tuple[str | None, Address]] = []
    for text in texts:
        entry = entries.get(text)
        if entry is not None and entry.address is not None:
            owners.append((text, entry.address))
        elif entry is not None:
            raise NotDone(
                f"wallet {text} does not tell its address: bring it in by tithe wallet import --keystore"
            )
        elif text.startswith("0x"):
            owners.append((None, parse_address(text)))
        else:
            raise NoWallet(text, tuple(entries))
    return owners


def resolve_owner(text: str | None) -> tuple[str | None, Address]:
    """Resolve one wallet's name or address; the default wallet when nothing is named."""
    return resolve_owners([text or wallet_name(None)])[0]


def unlock_wallet(given: str | None, passwords: Passwords) -> "SigningKey":
    """Open the wallet to use; where an external signer keeps its key, that is asked for each transaction.

    Raises NoWallet, WrongPassword.
    """
    from settlement.wallet import Wallets

    name = wallet_name(given)
    external = Wallets(home().wallets).external(name)
    if external is not None:
        return external
    return unlock_keystore(home().wallets / f"{name}.json", f"wallet {name}", passwords)


def wallet_of(address: Address) -> str | None:
    """Name the wallet of this home that has this address."""
    from settlement.wallet import Wallets

    return next((entry.name for entry in Wallets(home().wallets).list() if entry.address == address), None)
