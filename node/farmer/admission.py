"""Which channels a farmer takes vouchers from: the checks of the protocol, all at one pinned block.

Nothing is stored for a renter before its channel is on the chain we know, in the contract we know, in a token
we accept, pays us, holds enough, is not closing, and can be claimed before it closes.
"""

import asyncio
from dataclasses import dataclass, replace

import contracts
from node.agreement import node_key_digest, verify_node_key
from node.db import Connection
from node.db.farmer import Book, add_book, list_books_with_channels, load_book, retire_books
from node.errors import WrongNodeKeySignature
from node.farmer.errors import (
    ChallengePeriodOutOfBounds,
    ChannelNotOpen,
    ContractSigner,
    DepositTooLow,
    NodeOfAnother,
    TokenNotAccepted,
    TooManyChannels,
    WrongPayee,
)
from node.farmer.farm import Farm
from node.farmer.vouchers import see_channel
from node.messages import ChannelView
from payments.channel import Claimed, CloseRequested, Funded, Status, apply
from payments.debt import continue_storage
from payments.ledger import Earnings
from payments.types import ChannelId, NodeId, Timestamp
from payments.vouchers import Terms, channel_id
from settlement.abi import CHANNELS
from settlement.client import ChannelState
from settlement.errors import ContractDifferent, Reorganised
from settlement.rpc import Block
from settlement.tables import load_channel, record_channel, save_channel
from settlement.watcher_store import load_hash, mark_seen_at

MAX_CHANNELS = 16
"""Channels of one node that may be open or closing; and closed ones that still count."""
DELEGATION = bytes.fromhex("ef0100")
"""How the code of an account delegated by EIP-7702 begins; its key still signs for it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one block says about a channel."""

    state: ChannelState
    signer_code: bytes
    block: Block

    @property
    def contract_signs(self) -> bool:
        """Whether a contract signs (ERC-1271), rather than a key."""
        return bool(self.signer_code) and not self.signer_code.startswith(DELEGATION)


async def admit_channel(farm: Farm, node: NodeId, terms: Terms, signature: bytes) -> ChannelView:
    """Accept a channel and tell how it stands. A channel that is known already is only looked at again.

    Raises ChannelRefused, WrongNodeKeySignature, and ChainError when the chain cannot be asked.
    """
    name = channel_id(farm.domain, terms)
    known = farm.database.read(lambda conn: load_book(conn, name))
    if known is None:
        _check_terms(farm, terms)
    sight = await _look(farm, name, terms)
    if known is None and sight.contract_signs and not farm.config.accept_contract_signers:
        raise ContractSigner(terms.signer)
    await _check_node_key(farm, node, terms, signature, sight)
    if known is not None and known.renter != node:
        raise NodeOfAnother(name)
    if known is None:
        _check_sight(farm, name, sight)
    book = Book(name, node, farm.now(), Earnings(revocable=sight.contract_signs))
    await farm.database.write(lambda conn: _record(conn, farm, book, terms, sight))
    if sight.contract_signs:
        farm.contract_signers[name] = terms.signer
    if known is None:
        await _look_again(farm, name)
        farm.stats.count("channels_accepted")
    return await see_channel(farm, node, name)


def _check_terms(farm: Farm, terms: Terms) -> None:
    """Check what the terms say by themselves."""
    config = farm.config
    if terms.payee != config.payee:
        raise WrongPayee(terms.payee, config.payee)
    if terms.token not in config.tokens:
        raise TokenNotAccepted(terms.token, config.tokens)
    least, most = config.offer.min_challenge_period, config.offer.max_challenge_period
    if not least <= terms.challenge_period <= most:
        raise ChallengePeriodOutOfBounds(terms.challenge_period, least, most)


async def _look(farm: Farm, name: ChannelId, terms: Terms) -> Sight:
    """Read the chain at one block of confirmation depth, and close requests at the head.

    Chain and contract are checked anew: a local chain may have been restarted behind its URL. Raises
    Reorganised when the pinned block was replaced while we looked.
    """
    chain = farm.chain
    await chain.verify()
    head = await chain.head()
    pinned = await chain.block(max(0, await chain.final(head)))
    code, signer_code, states, newest = await asyncio.gather(
        chain.code(chain.deployment.contract, pinned.number),
        chain.code(terms.signer, pinned.number),
        chain.channel_states([name], pinned.number),
        chain.channel_states([name]),
    )
    again = await chain.block(pinned.number)
    if again.hash != pinned.hash:
        raise Reorganised(pinned.number, pinned.hash, again.hash)
    if not contracts.load(CHANNELS).matches(code):
        raise ContractDifferent(chain.rpc.url, chain.deployment.contract)
    confirmed = states[0]
    closes_at = confirmed.closes_at or newest[0].closes_at
    state = ChannelState(confirmed.deposit, confirmed.claimed, closes_at)
    return Sight(state, signer_code, pinned)


async def _check_node_key(farm: Farm, node: NodeId, terms: Terms, signature: bytes, sight: Sight) -> None:
    """Check that the signer vouches for the node: a key by its signature, a contract by its answer."""
    if not sight.contract_signs:
        verify_node_key(farm.domain, node, signature, terms.signer)
        return
    digest = node_key_digest(farm.domain, node)
    if not await farm.chain.account_accepts(terms.signer, digest, signature, block=sight.block.number):
        raise WrongNodeKeySignature(node, terms.signer, None)


async def _look_again(farm: Farm, name: ChannelId) -> None:
    """Catch a close request that the watcher met between our look and our record: it knew no such channel."""
    head = await farm.chain.head()
    (newest,) = await farm.chain.states_at([name], head)
    if not newest.closes_at:
        return

    def step(conn: Connection) -> None:
        channel = load_channel(conn, name)
        if channel is not None:
            save_channel(conn, apply(channel, CloseRequested(newest.closes_at))[0])
            mark_seen_at(conn, name, head)

    await farm.database.write(step)
    raise ChannelNotOpen(name, newest.closes_at)


def _check_sight(farm: Farm, name: ChannelId, sight: Sight) -> None:
    """Check what the chain says."""
    if sight.state.closes_at:
        raise ChannelNotOpen(name, sight.state.closes_at)
    if sight.state.deposit < farm.config.offer.min_deposit:
        raise DepositTooLow(sight.state.deposit, farm.config.offer.min_deposit)


def _record(conn: Connection, farm: Farm, book: Book, terms: Terms, sight: Sight) -> None:
    """Write down a channel as the chain shows it. What follows from a close request is the watcher's affair.

    Another channel of the same renter continues its storage clock: opening one pays for nothing. The watcher
    has to know of the block, which it may not have met: when it is replaced, the deposit is read anew.
    Raises Reorganised where the watcher has met another one, and TooManyChannels.
    """
    block = sight.block
    if (followed := load_hash(conn, block.number) or block.hash) != block.hash:
        raise Reorganised(block.number, followed, block.hash)
    channel, state = record_channel(conn, farm.domain, terms), sight.state
    if not state.closes_at:
        for fact in (Funded(state.deposit), Claimed(state.claimed)):
            channel, _ = apply(channel, fact)
        save_channel(conn, channel)
        mark_seen_at(conn, channel.id, block)
    if load_book(conn, channel.id) is None:
        others = _count_channels(conn, book.renter, book.accepted_at)
        earnings = continue_storage(replace(book.earnings, claimed=channel.claimed), others)
        add_book(conn, replace(book, earnings=earnings))


def _count_channels(conn: Connection, renter: NodeId, now: Timestamp) -> list[Earnings]:
    """Have room for one more channel of a renter, so that adding up what it owes never takes long.

    Returns the accounts that count; those of channels closed many channels ago are retired. Raises
    TooManyChannels.
    """
    both = list_books_with_channels(conn, [renter])
    closed = [book for book, channel in both if channel.status is Status.CLOSED]
    if len(both) - len(closed) >= MAX_CHANNELS:
        raise TooManyChannels(MAX_CHANNELS)
    closed.sort(key=lambda book: (book.earnings.last_paid_audit, book.accepted_at), reverse=True)
    old = {book.channel_id for book in closed[MAX_CHANNELS:]}
    retire_books(conn, old, now)
    return [book.earnings for book, channel in both if channel.id not in old]
