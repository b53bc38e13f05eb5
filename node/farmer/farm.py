"""A Farm: what all parts of one farmer share, and the few reads of its books that several parts need."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from weakref import WeakValueDictionary

from node.agreement import Agreement
from node.clock import Clock
from node.db import Connection
from node.db.farmer import Book, list_books_with_channels, load_book
from node.db.farmer_agreements import RenterSums, load_sums, load_sums_of
from node.db.stats import Statistics
from node.farmer.config import FarmerConfig
from node.farmer.errors import ExposureExceeded, UnknownChannel
from node.farmer.hoard import Hoard
from node.identity import NodeKey
from node.shard_store import ShardStore
from payments.channel import Channel
from payments.debt import exposure, lent_rate
from payments.eip712 import Domain
from payments.ledger import Earnings, record_claimed
from payments.prices import storage_price
from payments.types import Address, Amount, ChannelId, NodeId, Seconds, Timestamp
from settlement.client import Chain
from settlement.database import Database
from settlement.tables import load_channel

T = TypeVar("T")


@dataclass(slots=True)
class Farm:
    """One farmer's key, configuration, disk and chain. `config` is replaced when the owner changes it.

    `claims_due` is set when a claim should be thought about at once. `frozen`: channels restored from a copy
    whose renters have not handed over their newest voucher; see node.farmer.restored. `contract_signers`: the
    accepted channels that a contract signs for, and its address. `away`: why no shard can be read, None if
    they can. `terms`: of agreements that were read from lately, by id; terms never change, whether they still
    hold is in the books.
    """

    key: NodeKey
    config: FarmerConfig
    database: Database
    store: ShardStore
    chain: Chain
    stats: Statistics
    clock: Clock
    claims_due: asyncio.Event = field(default_factory=asyncio.Event)
    frozen: set[ChannelId] = field(default_factory=set)
    contract_signers: dict[ChannelId, Address] = field(default_factory=dict)
    away: str | None = None
    terms: dict[bytes, Agreement] = field(default_factory=dict)
    _locks: WeakValueDictionary[bytes, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @property
    def hoard(self) -> Hoard:
        """Its shards alone."""
        longest = self.config.offer.max_agreement_seconds
        return Hoard(self.database, self.store, self.stats, self.clock, longest)

    @property
    def node(self) -> NodeId:
        """The farmer's id."""
        return self.key.node

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain of its chain and contract."""
        return self.chain.domain

    def now(self) -> Timestamp:
        """Wall time."""
        return Timestamp(self.clock())

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Run something that waits for the disk beside the event loop."""
        return await asyncio.to_thread(work, *arguments)

    def lock(self, name: bytes) -> asyncio.Lock:
        """The lock of one channel or agreement, for steps that span more than one transaction."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock


@dataclass(frozen=True, slots=True)
class Account:
    """One channel as chain and vouchers show it, and the sums of its renter."""

    channel: Channel
    book: Book
    sums: RenterSums

    @property
    def earnings(self) -> Earnings:
        """The evidence and accounts."""
        return self.book.earnings


def load_account(conn: Connection, channel_id: ChannelId, node: NodeId) -> Account:
    """Open the books at a channel of this renter. Raises UnknownChannel.

    What the chain has paid meanwhile is booked on the way: the watcher writes it to the channel only.
    """
    book = load_book(conn, channel_id)
    channel = load_channel(conn, channel_id)
    if book is None or channel is None or book.renter != node:
        raise UnknownChannel(channel_id)
    sums = load_sums(conn, node)
    return Account(channel, caught_up(book, channel, sums), sums)


def load_accounts(conn: Connection, renters: Collection[NodeId]) -> dict[NodeId, dict[ChannelId, Account]]:
    """Open the books at all channels of these renters, as `load_account` does at one."""
    all_sums = load_sums_of(conn, renters)
    accounts: dict[NodeId, dict[ChannelId, Account]] = {renter: {} for renter in renters}
    for book, channel in list_books_with_channels(conn, renters):
        sums = all_sums[book.renter]
        accounts[book.renter][channel.id] = Account(channel, caught_up(book, channel, sums), sums)
    return accounts


def caught_up(book: Book, channel: Channel, sums: RenterSums) -> Book:
    """Book what the chain says it has paid meanwhile."""
    earnings = record_claimed(book.earnings, channel.claimed, sums.storage_rate)
    waiting = book.unclaimed_since if earnings.covered > channel.claimed else Timestamp(0)
    if earnings is book.earnings and waiting == book.unclaimed_since:
        return book
    return replace(book, earnings=earnings, unclaimed_since=waiting)


@dataclass(frozen=True, slots=True)
class Debt:
    """What a renter owes over all its channels, the farmer's loss if it never came back, and what it may."""

    exposed: Amount
    limit: Amount

    @property
    def over(self) -> bool:
        """Whether it owes too much to be served."""
        return self.exposed > self.limit


def debt_of(config: FarmerConfig, channels: Sequence[Earnings], sums: RenterSums, now: Timestamp) -> Debt:
    """Reckon a renter's debt; `channels` are all of its."""
    exposed = exposure(channels, sums.storage_rate, now)
    lent = replace(sums, storage_rate=lent_rate(channels, sums.storage_rate))
    return Debt(exposed, exposure_limit(config, lent))


def load_debt(
    conn: Connection, config: FarmerConfig, sums: RenterSums, now: Timestamp, account: Account | None = None
) -> Debt:
    """Read what this renter owes.

    `account` stands for what the books say of its channel, where the caller knows better.
    """
    books = [account.earnings] if account else []
    for book, channel in list_books_with_channels(conn, [sums.renter]):
        if not account or channel.id != account.channel.id:
            books.append(caught_up(book, channel, sums).earnings)
    return debt_of(config, books, sums, now)


def exposure_limit(config: FarmerConfig, sums: RenterSums) -> Amount:
    """What this renter may owe: a few audit intervals of its own storage, never more than `max_exposure`.

    A missed audit is a missed payment, and a fixed sum would be nothing to a large renter and everything to
    a small one. The least deposit is lent to everybody.
    """
    borne = storage_price(sums.storage_rate, Seconds(config.max_intervals * sums.longest_interval))
    return Amount(min(config.max_exposure, max(borne, config.offer.min_deposit)))


def check_exposure(
    conn: Connection, farm: Farm, sums: RenterSums, now: Timestamp, account: Account | None = None
) -> None:
    """Serve only who owes no more than the limit; `account` as in `load_debt`. Raises ExposureExceeded."""
    debt = load_debt(conn, farm.config, sums, now, account)
    if debt.over:
        raise ExposureExceeded(debt.exposed, debt.limit)
