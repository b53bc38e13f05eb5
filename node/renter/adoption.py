"""Adoption: which channels that turn up on the chain are ours though this renter's books do not know them.

Anybody can open a channel in our signer's name. Its payer could take the deposit back under our vouchers, so
ours are only those that we could have planned: of a payer of ours, of our token, with a challenge period that
we can bear. The payee tells the farmer, the salt the life.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from node.db import Connection
from node.db.renter_purses import Purse, save_purse
from node.db.restoration import freeze, is_frozen, load_restoration
from node.renter.context import Context
from node.renter.money import Account, list_accounts
from payments.channel import Channel
from payments.types import ZERO_ADDRESS, Address, NodeId
from payments.vouchers import Terms, channel_salt
from settlement.tables import list_channels

MOST_LIVES: Final = 64
"""Salts tried when a channel is adopted."""


def our_payers(context: Context, accounts: Iterable[Account]) -> frozenset[Address]:
    """Say who pays for us: those whose keys or names we have, and those whose channels are in our books."""
    keys = context.keys
    known = {account.channel.terms.payer for account in accounts}
    return frozenset((keys.payer, *keys.payers, *known)) - {ZERO_ADDRESS}


def find_strays(conn: Connection, context: Context, named: Collection[Address]) -> tuple[Channel, ...]:
    """Find the channels without a purse that are ours, or of the payers `named`."""
    accounts = list_accounts(conn)
    known = {account.channel.id for account in accounts}
    payers = our_payers(context, accounts).union(named)
    token, longest = context.chain.deployment.token, context.limits.challenge_period
    return tuple(
        channel
        for channel in list_channels(conn, signer=context.keys.signer.address)
        if channel.id not in known
        and channel.terms.payer in payers
        and channel.terms.token == token
        and channel.terms.challenge_period <= longest
    )


def adopt_strays(
    conn: Connection, context: Context, farmers: Mapping[Address, NodeId], named: Collection[Address]
) -> None:
    """Give each of these channels a purse, if its payee is among `farmers`; frozen in a restored renter."""
    genesis, restored = context.chain.deployment.genesis_hash, load_restoration(conn) is not None
    for channel in find_strays(conn, context, named):
        farmer, life = farmers.get(channel.terms.payee), _life(genesis, channel.terms)
        if farmer is None or life is None:
            continue
        save_purse(conn, Purse(channel.id, farmer, life))
        if restored and not is_frozen(conn, channel.id):
            freeze(conn, channel.id)


def _life(genesis_hash: bytes, terms: Terms) -> int | None:
    return next((life for life in range(MOST_LIVES) if channel_salt(genesis_hash, life) == terms.salt), None)
