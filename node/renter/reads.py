"""Reads: paid steps of shards, each verified as it comes.

A step is at most 1 MiB of whole leaves, paid just before it is asked for. The hashes that come with it prove
it against the agreement's data root, so who sends anything else has gained the price of one step and is known
at once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.db.renter_shards import ShardRecord
from node.errors import CheckFailed, short
from node.leaf_ranges import LeafRange, verify_range
from node.messages import ReadShard, SignedVoucherMessage
from node.renter.accounts import ARREARS, UNAGREED, Accounts, agreement_path
from node.renter.context import Context
from node.renter.errors import NoOpenChannel
from node.renter.money import Account, Payment
from node.tasks import finish
from node.transport import PeerRefused
from payments.prices import read_price
from payments.types import NodeId

TRIES: Final = 3
"""Times a step is paid and asked for, while objections about money can be removed."""


@dataclass(eq=False)
class WrongShard(CheckFailed):
    """The bytes that a farmer sent are not those of the agreement."""

    farmer: bytes
    offset: int
    length: int
    data_root: bytes

    def __str__(self) -> str:
        end = self.offset + self.length
        return f"its bytes {self.offset} to {end} do not lead to the agreed root {short(self.data_root)}"


@dataclass(frozen=True, slots=True)
class Listener:
    """Who waits for a step. `arrived` hears of bytes on their way, `take` is given the verified ones."""

    arrived: Callable[[int], None]
    take: Callable[[memoryview], None]


class Reads:
    """Buys steps of shards; `paid` is what the farmers have earned by it."""

    def __init__(self, context: Context, accounts: Accounts) -> None:
        self._context = context
        self._accounts = accounts
        self._opened = accounts.active()
        self._booking: set[asyncio.Task[None]] = set()
        self.paid = 0

    async def step(self, shard: ShardRecord, offset: int, length: int, listener: Listener) -> None:
        """Pay for one step and read it, alone in its channel.

        Raises AboveLimit, WrongShard, NoOpenChannel, UnknownPeer, Unfunded, PaymentError, the transport's
        errors.
        """
        terms = shard.agreement
        self._context.limits.check_read(terms)
        leaves = LeafRange.of(offset, length, terms.shard_length)
        price = read_price(terms.download_price, length)
        account = await self._account(terms.farmer)
        async with self._context.locks.hold(account.channel.id):
            payment: Payment | None = None
            for tries_left in reversed(range(TRIES)):
                refused, payment = payment, await self._accounts.issue_read(account.channel.id, price)
                if refused:  # it has shown what a read that was given up has earned it
                    self.paid += max(0, payment.account.channel.earned - refused.account.channel.earned)
                message = ReadShard(
                    offset=offset, length=length, payment=SignedVoucherMessage.of(payment.voucher)
                )
                try:
                    answer = await self._context.transport.read(
                        self._accounts.target(terms.farmer),
                        agreement_path(shard.agreement_id, "read"),
                        message,
                        length + leaves.proof_size,
                        listener.arrived,
                    )
                except PeerRefused as refusal:
                    if not tries_left or not await self._mend(account, shard, refusal):
                        raise
                    owed = refusal.error == ARREARS  # paid now, and no less than this payment perhaps
                    if not owed and payment.added and self._accounts.holds(payment):
                        raise  # it took this very payment, and gives nothing for it
                else:
                    data, proof = memoryview(answer)[:length], memoryview(answer)[length:]
                    if not verify_range(data, leaves, terms.shard_length, proof, terms.data_root):
                        raise WrongShard(terms.farmer, offset, length, terms.data_root)
                    listener.take(data)
                    await finish(self._book(payment))
                    return

    async def booked(self) -> None:
        """Wait until everything that has come is in the books."""
        await asyncio.gather(*self._booking)

    async def _mend(self, account: Account, shard: ShardRecord, refusal: PeerRefused) -> bool:
        """Remove what a farmer objects to; tell whether to ask again."""
        if refusal.error in UNAGREED:
            return bool(await self._accounts.hand_back(account, [shard]))
        return await self._accounts.mend(account, refusal)

    async def _account(self, farmer: NodeId) -> Account:
        account = self._opened.get(farmer)
        if account is None:
            raise NoOpenChannel(farmer)
        return await self._accounts.reconciled(account)

    def _book(self, payment: Payment) -> "asyncio.Task[None]":
        """Book a step that has come: before anybody's next voucher in this channel."""

        async def work() -> None:
            rise = await self._accounts.record_read(payment)
            self.paid += rise

        task = asyncio.create_task(work())
        self._booking.add(task)
        task.add_done_callback(self._booking.discard)
        return task
