"""Opening the renter of this home: its keys, made at first use, and its books on the chain to use.

A renter is identity (in the clear, 0600), signer (keystore) and master key (sealed), the last two by one
password. Commands that sign nothing leave those two locked: nobody is asked, and a signature is refused.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from node.cli.amounts import parse_number, to_base_units
from node.cli.errors import NotDone, NotThePassword
from node.cli.key_files import (
    create_keystore,
    create_node_key,
    keystore_address,
    load_node_key,
    unlock_keystore,
)
from node.cli.keys import unlock_wallet
from node.cli.output import note, waiting
from node.cli.passwords import Passwords
from node.cli.rent_limits import limits_of
from node.cli.session import home, on_chain, token_info
from node.home import Home, make_private_directory, write_json
from payments.types import ZERO_ADDRESS, Address

if TYPE_CHECKING:
    from node.identity import NodeKey
    from node.master_key import MasterKey
    from node.renter.context import Keys
    from node.renter.renter import Renter
    from node.renter.top_ups import TopUpRules
    from payments.vouchers import SigningKey
    from settlement.client import Chain, TokenInfo
    from settlement.copies import Copies

T = TypeVar("T")
WHAT = "the renter's keys"


@dataclass(frozen=True, slots=True)
class Opened:
    """A renter at work, its chain, how its token wants to be shown, and the copies of its books."""

    renter: "Renter"
    chain: "Chain"
    token: "TokenInfo"
    copies: "Copies"


@dataclass(frozen=True, slots=True)
class Access:
    """What a command needs of the keys.

    passwords: None asks nobody: everything stays locked. signs: open the signer. reads: open the master key.
    payer: in whose name the payer's part is planned. wallet: the payer's wallet to unlock, None for none.
    chain_may_be_away: the books and the farmers are enough, while the chain's node does not answer.
    """

    passwords: Passwords | None = None
    signs: bool = False
    reads: bool = False
    payer: Address = ZERO_ADDRESS
    wallet: str | None = None
    chain_may_be_away: bool = False


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be topped up by itself, as it was typed: in all, and in a day (None: no other cap)."""

    cap: Decimal
    daily: Decimal


def caps(cap: str | None, daily: str | None) -> Caps | None:
    """Read what was typed; None where nothing may be topped up. Raises BadAmount."""
    if cap is None:
        return None
    return Caps(parse_number(cap), parse_number(cap if daily is None else daily))


def with_renter(
    chain: str | None,
    access: Access,
    work: Callable[[Opened], Awaitable[T]],
    top_ups: Caps | None = None,
    repair_cap: int | None = None,
) -> T:
    """Open the renter on the chain to use, and run `work` with it.

    top_ups: what its run may put in. repair_cap: bytes that its run's repairs may move in 24 hours.
    """
    from node.renter.renter import TABLES, Renter
    from settlement.copies import Copies
    from settlement.database import Database

    keys = _keys(home(), access)

    async def opened(connected: "Chain") -> T:
        token = await token_info(connected, may_be_away=access.chain_may_be_away)
        state = home().renter_state(connected.deployment.folder)
        copies = Copies(state.money, state.copies)
        check_books(copies, "tithe restore --copy")
        database = Database.at(state.money, TABLES)
        try:
            rules = _rules(top_ups, token.decimals)
            async with await Renter.open(
                database,
                connected,
                keys,
                locks=state.locks,
                top_ups=rules,
                repair_cap=repair_cap,
                limits=limits_of(home(), token.decimals),
            ) as renter:
                return await work(Opened(renter, connected, token, copies))
        finally:
            database.close()

    return on_chain(chain, opened, may_be_away=access.chain_may_be_away)


def _rules(top_ups: Caps | None, decimals: int) -> "TopUpRules | None":
    from node.renter.top_ups import TopUpRules

    if top_ups is None:
        return None
    return TopUpRules(to_base_units(top_ups.cap, decimals), to_base_units(top_ups.daily, decimals))


def check_books(copies: "Copies", remedy: str) -> None:
    """Refuse to work with a database that is damaged or gone. Raises NotDone, which names the remedy."""
    from settlement.errors import StorageCorrupt, StorageLost

    try:
        copies.check_source()
    except (StorageCorrupt, StorageLost) as error:
        raise NotDone(
            f"{error}: {remedy}; what was signed since that copy is learned again from the other side"
        ) from error


def make_renter(place: Home, passwords: Passwords, payer: "SigningKey | None" = None) -> None:
    """Make the renter's keys where there are none, of the payer's account, or the wallet's, or a new phrase.

    The signer comes last: where it is, the others have been.
    """
    master, signer = place.renter_master_key, place.renter_signer
    if signer.exists():
        if not master.exists():
            raise NotDone(f"{master} is gone: put your copy of it back, no file comes back without it")
        return
    if place.renter_node_key.exists() or master.exists():
        _complete_renter(place, passwords)
    else:
        keep_renter_keys(place, _account(place, passwords, payer), passwords)


def keep_renter_keys(place: Home, account: "SigningKey", passwords: Passwords) -> None:
    """Make the renter's keys of an account and lock them into this home."""
    from node.cli.key_files import save_node_key
    from node.key_file import keep_master_key
    from node.renter_keys import RenterKeys
    from settlement.wallet import Wallets

    keys, password = RenterKeys.of(account), passwords.choose(WHAT)
    folder = make_private_directory(place.renter_signer.parent)
    write_json(place.renter_account, {"account": "0x" + keys.account.hex()})
    with waiting("Locking the renter's keys"):
        keep_master_key(place.renter_master_key, keys.master, password)
        save_node_key(place.renter_node_key, keys.node)
        Wallets(folder).save(place.renter_signer.stem, keys.signer, password)
    note(f"Made the renter's keys in {folder}: the phrase of 0x{keys.account.hex()} gives them back.")


def _passer_by() -> "NodeKey":
    """Return an identity for a command that needs one before there is a renter; nobody remembers it."""
    from node.identity import NodeKey

    return NodeKey(os.urandom(32))


def _complete_renter(place: Home, passwords: Passwords) -> None:
    """Make at random what is missing of keys that are made of no phrase."""
    from node.key_file import create_master_key

    password = passwords.choose(WHAT)
    if not place.renter_master_key.exists():
        with waiting("Making the renter's master key"):
            create_master_key(place.renter_master_key, password)
    create_keystore(place.renter_signer, password)
    folder = place.renter_signer.parent
    note(f"Made the renter's keys in {folder}; keep a copy: without them no file comes back.")


def _account(place: Home, passwords: Passwords, payer: "SigningKey | None") -> "SigningKey":
    """Of which account the renter's keys are made: the payer's, the wallet's, or that of a new phrase."""
    from node.cli.new_wallets import tell_phrase
    from settlement.transactions import RemoteKey
    from settlement.wallet import key_from_phrase, new_phrase

    account = payer or (unlock_wallet(None, passwords) if place.wallet_names() else None)
    if account is not None and not isinstance(account, RemoteKey):
        return account
    phrase = new_phrase()
    note("The payer's key is not here: the renter's keys have a recovery phrase of their own.")
    tell_phrase(phrase, None)
    return key_from_phrase(phrase)


def _keys(place: Home, access: Access) -> "Keys":
    """Put the renter's keys together, as far as the command needs them open."""
    from node.cli.locked_keys import LockedMaster, LockedSigner
    from node.renter.context import Keys

    payer = (
        None
        if access.wallet is None or access.passwords is None
        else unlock_wallet(access.wallet, access.passwords)
    )
    if access.passwords is not None:
        make_renter(place, access.passwords, payer)
    try:
        node = load_node_key(place.renter_node_key)
    except FileNotFoundError:
        node = create_node_key(place.renter_node_key) if place.renter_signer.exists() else _passer_by()
    address = keystore_address(place.renter_signer) or ZERO_ADDRESS
    signer: SigningKey = LockedSigner(address)
    master: MasterKey = LockedMaster()
    if access.passwords is not None and access.signs:
        signer = unlock_keystore(place.renter_signer, WHAT, access.passwords)
    if access.passwords is not None and access.reads:
        master = _unlock_master(place, access.passwords)
    paying = payer.address if payer else access.payer
    return Keys(node, signer, master, paying, payer, _payers(place))


def _payers(place: Home) -> frozenset[Address]:
    """Whose channels are this renter's: this home's wallets', and those of the account of its keys."""
    from node.cli.exports import account_of
    from settlement.wallet import Wallets

    wallets = (entry.address for entry in Wallets(place.wallets).list())
    return frozenset(one for one in (account_of(place), *wallets) if one is not None)


def _unlock_master(place: Home, passwords: Passwords) -> "MasterKey":
    """Open the master key; signer and it have one password."""
    from node.errors import WrongPassphrase
    from node.key_file import load_master_key

    def attempt(password: str) -> "MasterKey":
        with waiting(f"Opening {WHAT}"):
            return load_master_key(place.renter_master_key, password)

    try:
        return passwords.unlock(WHAT, attempt, WrongPassphrase)
    except WrongPassphrase:
        raise NotThePassword("the renter's master key") from None
