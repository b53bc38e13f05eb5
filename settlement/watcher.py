"""The watcher: reads the chain, block by block, into our channels.

Good news (deposits, payments) counts at confirmation depth, bad news (close requests, withdrawals) at first
sight. What a stretch of blocks changes, how far we have read and what is to be done about it are one database
write, so a restart goes on where it stopped. Hashes of recent blocks are kept: when one changes, the
channels that later blocks told us about freeze, reading goes back to the last common block, and the
contract is asked anew. A node that is merely behind is waited for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

from sqlalchemy import Connection

from payments import channel as machine
from payments.channel import Channel, Event, Status
from payments.types import Address, ChannelId
from settlement import watcher_store as store
from settlement.chain_events import (
    ChainEvent,
    ChannelClaimed,
    ChannelCloseRequested,
    ChannelFunded,
    ChannelWithdrawn,
    RowSkipped,
)
from settlement.client import Chain, ChannelState
from settlement.database import Database
from settlement.errors import NodeRefused, Reorganised
from settlement.rpc import Block
from settlement.tables import list_channels, load_channel, record_channel, save_channel
from settlement.watcher_store import Cursor, PendingEffect

PAGE: Final = 2_000
"""Blocks asked for at once; halved where the node refuses so many."""
KEPT_HASHES: Final = 256
REREAD_AT_ONCE: Final = 500
BAD_NEWS: Final = (ChannelCloseRequested, ChannelWithdrawn)


@dataclass(frozen=True, slots=True)
class News:
    """What one `poll` brought: the newest block, events of our channels, effects to be carried out.

    `events` holds what counted now for the first time. `reorganised_at` is the last common block, if there
    was a reorganisation.
    """

    head: Block
    events: tuple[ChainEvent, ...]
    effects: tuple[PendingEffect, ...]
    reorganised_at: int | None = None


class Watcher:
    """Follows the channels in the database, and records those of these payers, signers or payees.

    So it also finds what somebody else funded: a cold wallet, a forgotten machine.
    """

    def __init__(
        self,
        database: Database,
        chain: Chain,
        *,
        payers: Iterable[Address] = (),
        signers: Iterable[Address] = (),
        payees: Iterable[Address] = (),
    ) -> None:
        self._database = database
        self._chain = chain
        self._payers = frozenset(payers)
        self._signers = frozenset(signers)
        self._payees = frozenset(payees)
        self._page = PAGE

    async def poll(self) -> News:
        """Read what is new. Raises ChainUnreachable, or Reorganised (it moved meanwhile): then poll again."""
        head = await self._chain.head()
        cursor, hashes = self._database.read(lambda conn: (store.load_cursor(conn), store.load_hashes(conn)))
        if cursor is None:
            start = self._chain.deployment.deployed_block - 1
            cursor = Cursor(start, start)
        if head.number < cursor.seen:
            await self._chain.verify()  # behind, or another chain
        fork = await self._fork(head, hashes, cursor.seen)
        if fork is not None:
            cursor = await self._rewind(cursor, fork)
        final = await self._chain.final(head)
        events = await self._read_on(cursor, head, final)
        await self._reread_frozen(head, final)
        effects = self._database.read(store.list_effects)
        return News(head, tuple(events), tuple(effects), fork)

    async def acknowledge(self, effects: Iterable[PendingEffect]) -> None:
        """Forget effects that were carried out."""
        ids = [pending.id for pending in effects]
        await self._database.write(lambda conn: store.remove_effects(conn, ids))

    async def _fork(self, head: Block, hashes: dict[int, bytes], seen: int) -> int | None:
        """The last block both we and the chain have; None when nothing was reorganised.

        Blocks we saw and the node does not have prove nothing: it may lag behind. Blocks after `seen` were
        met by somebody else (`mark_seen_at`): one that is still there says nothing of those we followed.
        """
        changed = False
        for number in [number for number in hashes if number <= head.number]:
            block = head if number == head.number else await self._chain.block(number)
            if block.hash != hashes[number]:
                changed = True
            elif number <= seen:
                return number if changed else None
        if not changed:
            return None
        await self._chain.verify()  # deeper than our memory: is it our chain at all?
        return self._chain.deployment.deployed_block - 1

    async def _rewind(self, cursor: Cursor, fork: int) -> Cursor:
        """Freeze what blocks after the fork told us about, and go back to it."""
        back = Cursor(min(cursor.seen, fork), min(cursor.confirmed, fork))

        def work(conn: Connection) -> None:
            for touched in store.list_touched(conn, fork):
                self._step(conn, touched, machine.Reorganised())
                store.unmark(conn, touched.id, fork)
            store.forget_hashes(conn, fork)
            store.save_cursor(conn, back)

        await self._database.write(work)
        return back

    async def _read_on(self, cursor: Cursor, head: Block, final: int) -> list[ChainEvent]:
        """Read stretches of blocks up to the head, each in one database write."""
        applied: list[ChainEvent] = []
        seen = cursor.seen
        while cursor.confirmed < final or cursor.seen < head.number:
            good = cursor.confirmed < final
            first = (cursor.confirmed if good else cursor.seen) + 1
            last = min(first + self._page - 1, final if good else head.number)
            try:
                events, hashes = await self._stretch(first, last, head)
                early = [] if good else await self._final_deposits(events, cursor.confirmed + 1, last, head)
            except NodeRefused:
                if self._page == 1:
                    raise
                self._page = max(1, min(self._page, last - first + 1) // 2)
                continue
            news = [event for event in events if good or isinstance(event, BAD_NEWS)]
            again = good and self._unknown(events)  # later bad news went by while nobody knew the channel
            cursor = Cursor(last if again else max(cursor.seen, last), last if good else cursor.confirmed)
            taken = await self._apply([*early, *news], hashes, cursor)
            fresh = [event for event, changed in taken if changed or not _known(event, seen)]
            applied += [event for event in fresh if event not in early]
        return applied

    async def _final_deposits(
        self, events: Iterable[ChainEvent], first: int, last: int, head: Block
    ) -> list[ChainEvent]:
        """Deposits of channels that are closing now, though they are not confirmed yet.

        A close request counts at first sight and no deposit counts after it, so those before it come first.
        """
        closing = {event.channel_id for event in events if isinstance(event, ChannelCloseRequested)}
        ours = self._database.read(lambda conn: {one for one in closing if load_channel(conn, one)})
        if not ours:
            return []
        before, _ = await self._stretch(first, last, head)
        return [event for event in before if isinstance(event, ChannelFunded) and event.channel_id in ours]

    async def _stretch(
        self, first: int, last: int, head: Block
    ) -> tuple[tuple[ChainEvent, ...], dict[int, bytes]]:
        """Events of the blocks `first`..`last`, and hashes of those near the head, all of one chain.

        Raises Reorganised when a block changed while we were reading.
        """
        headers: list[Block] = []
        for number in range(max(first, min(last, head.number - KEPT_HASHES)), last + 1):
            block = head if number == head.number else await self._chain.block(number)
            if headers and block.parent != headers[-1].hash:
                raise Reorganised(headers[-1].number, headers[-1].hash, block.parent)
            headers.append(block)
        hashes = {block.number: block.hash for block in headers}
        events = await self._chain.events(first, last, headers)
        for event in events:
            expected = hashes.get(event.place.block_number, event.place.block_hash)
            if event.place.block_hash != expected:
                raise Reorganised(event.place.block_number, expected, event.place.block_hash)
        after = await self._chain.block(last)
        if after.hash != hashes[last]:
            raise Reorganised(last, hashes[last], after.hash)
        return events, hashes

    async def _apply(
        self, events: Iterable[ChainEvent], hashes: dict[int, bytes], cursor: Cursor
    ) -> list[tuple[ChainEvent, bool]]:
        """Change channels, queue effects and move the cursor in one write.

        Returns the events that were ours, and whether they changed anything.
        """

        def work(conn: Connection) -> list[tuple[ChainEvent, bool]]:
            for number, known in store.load_hashes(conn).items():
                if hashes.get(number, known) != known:  # replaced since the last common block was looked for
                    raise Reorganised(number, known, hashes[number])
            taken = [(event, self._take(conn, event)) for event in events]
            ours = [(event, changed) for event, changed in taken if changed is not None]
            store.save_hashes(conn, hashes, cursor.seen - KEPT_HASHES)
            store.save_cursor(conn, cursor)
            return ours

        return await self._database.write(work)

    def _take(self, conn: Connection, event: ChainEvent) -> bool | None:
        """Apply one event, if it is about a channel of ours; whether that changed the channel."""
        if isinstance(event, ChannelFunded) and self._concerns(event):
            record_channel(conn, self._chain.domain, event.terms)
        channel = load_channel(conn, event.channel_id)
        fact = _fact(event)
        if channel is None or fact is None:
            return None
        changed = self._step(conn, channel, fact)
        store.mark(conn, channel.id, event.place.block_number)
        return changed

    def _unknown(self, events: Iterable[ChainEvent]) -> bool:
        """Whether these events tell of a channel of ours for the first time."""
        ours = {
            event.channel_id for event in events if isinstance(event, ChannelFunded) and self._concerns(event)
        }
        return self._database.read(lambda conn: any(load_channel(conn, one) is None for one in ours))

    def _step(self, conn: Connection, channel: Channel, event: Event) -> bool:
        after, effects = machine.apply(channel, event)
        if after != channel:
            save_channel(conn, after)
        store.add_effects(conn, effects)
        return after != channel

    def _concerns(self, event: ChannelFunded) -> bool:
        terms = event.terms
        return terms.payer in self._payers or terms.signer in self._signers or terms.payee in self._payees

    async def _reread_frozen(self, head: Block, final: int) -> None:
        """Believe the contract again: totals at confirmation depth, close requests at the head."""
        frozen = self._database.read(lambda conn: list_channels(conn, status=Status.FROZEN))
        for start in range(0, len(frozen), REREAD_AT_ONCE):
            ids = [channel.id for channel in frozen[start : start + REREAD_AT_ONCE]]
            deep = await self._chain.block(max(self._chain.deployment.deployed_block, final))
            confirmed = await self._chain.states_at(ids, deep)
            newest = await self._chain.states_at(ids, head)
            states = dict(zip(ids, zip(confirmed, newest, strict=True), strict=True))
            await self._database.write(partial(self._thaw, states=states, block=head.number))

    def _thaw(
        self, conn: Connection, states: dict[ChannelId, tuple[ChannelState, ChannelState]], block: int
    ) -> None:
        for channel_id, (confirmed, newest) in states.items():
            channel = load_channel(conn, channel_id)
            if channel is not None:
                deposit = newest.deposit if newest.closes_at else confirmed.deposit  # closing, it is final
                fact = machine.Reread(deposit, confirmed.claimed, newest.closes_at)
                self._step(conn, channel, fact)
            thawed = load_channel(conn, channel_id)
            if thawed is not None and newest.closes_at and newest.claimed >= newest.deposit > 0:
                self._step(conn, thawed, machine.Withdrawn())  # its event passed while it was frozen
                store.mark(conn, channel_id, block)


def _known(event: ChainEvent, seen: int) -> bool:
    """Whether it was read before: bad news counts at first sight, and is met again at confirmation depth.

    It is applied again all the same: the channel may have become known in between, by its deposit.
    """
    return isinstance(event, BAD_NEWS) and event.place.block_number <= seen


def _fact(event: ChainEvent) -> Event | None:
    """What an event means to the machine; nothing if no channel changed."""
    match event:
        case ChannelCloseRequested():
            return machine.CloseRequested(event.closes_at)
        case ChannelWithdrawn():
            return machine.Withdrawn()
        case ChannelFunded():
            return machine.Funded(event.deposit)
        case ChannelClaimed():
            return machine.Claimed(event.claimed)
        case RowSkipped():
            return None
        case _:
            assert_never(event)
