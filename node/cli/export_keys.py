"""The keys an export needs to be opened, and those it brings: of this home, of the export, of a phrase."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.errors import NotDone, NotThePassword
from node.cli.key_files import keystore_address, load_node_key
from node.cli.keys import unlock_wallet
from node.cli.new_wallets import DEFAULT_NAME, keep_key, read_phrase_key
from node.cli.passwords import Passwords
from node.home import Home, create_private
from payments.types import Address

if TYPE_CHECKING:
    from node.export import Label
    from node.identity import NodeKey
    from payments.vouchers import SigningKey


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where keys come from that are not here: the passphrase of an export, or a phrase."""

    passwords: Passwords
    phrase_file: Path | None = None
    path: str | None = None


def find_keys(
    place: Home, file: Path, label: "Label", source: KeySource
) -> "tuple[NodeKey, Callable[[], None]]":
    """The export's node key: of this home, of the export itself, or of a phrase; and how to keep the keys.

    `file` is where this home keeps its node key. Raises NotDone, CorruptKeyFile, Locked's branches.
    """
    if file.exists():
        return load_node_key(file), lambda: None
    if label.keys and source.phrase_file is None:
        return _open_box(place, file, label, source)
    if label.account is None:
        raise NotDone("no phrase gives the keys of this export: put them back first, or use one --with-keys")
    from node.renter_keys import RenterKeys

    account = find_account(place, label.account, source)
    return RenterKeys.of(account).node, lambda: keep_account(place, account, source)


def _open_box(
    place: Home, file: Path, label: "Label", source: KeySource
) -> "tuple[NodeKey, Callable[[], None]]":
    from node.errors import CorruptKeyFile, WrongPassphrase
    from node.identity import NodeKey
    from node.key_box import open_keys

    try:
        files = source.passwords.unlock(
            "the keys in the export", lambda given: open_keys(label.keys, given), WrongPassphrase
        )
        key = NodeKey(bytes.fromhex(files[file.relative_to(place.root).as_posix()].decode().strip()))
    except WrongPassphrase:
        raise NotThePassword("the keys in the export") from None
    except (KeyError, ValueError):
        raise CorruptKeyFile("there is no node key in it") from None

    def keep() -> None:
        for name, data in files.items():
            if not (place.root / name).exists():
                create_private(place.root / name, data)

    return key, keep


def find_account(place: Home, wanted: Address | None, source: KeySource) -> "SigningKey":
    """The account of a phrase: a wallet that is here already, or the phrase itself.

    `wanted`: of no other address. Raises NotDone, Locked's branches.
    """
    from settlement.wallet import Wallets

    if source.phrase_file is None:
        for name in place.wallet_names():
            if Wallets(place.wallets).external(name) is not None:
                continue  # its key is not here
            if wanted is None or keystore_address(place.wallets / f"{name}.json") == wanted:
                return unlock_wallet(name, source.passwords)
    account = read_phrase_key(source.phrase_file, source.path, "the recovery phrase")
    if wanted is not None and account.address != wanted:
        raise NotDone(
            f"this phrase gives account 0x{account.address.hex()}, the export is of 0x{wanted.hex()}: another"
            " phrase, or another --path; nothing was changed"
        )
    return account


def keep_account(place: Home, account: "SigningKey", source: KeySource) -> None:
    """Lock the keys of a phrase into this home, and the account as a wallet where it is none yet."""
    from node.cli.renter import keep_renter_keys

    known = [keystore_address(place.wallets / f"{name}.json") for name in place.wallet_names()]
    if account.address not in known:
        password = source.passwords.choose("the wallet and the renter's keys")
        name = (
            DEFAULT_NAME
            if DEFAULT_NAME not in place.wallet_names()
            else f"restored-{account.address.hex()[:8]}"
        )
        keep_key(place, name, account, password)
    keep_renter_keys(place, account, source.passwords)
