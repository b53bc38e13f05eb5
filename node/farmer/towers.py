"""The TowerPost: sends a farmer's newest vouchers to its watchtowers, behind everything else.

What a tower has acknowledged is remembered while the farmer runs; after a restart all is sent again, which
changes nothing there. A tower that does not answer costs nobody anything but its own protection.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial

from node.db import Connection
from node.db.farmer import Book, Held, list_books_with_channels, load_book, load_held
from node.errors import NodeError
from node.farmer.config import read_tower
from node.farmer.farm import Farm
from node.farmer.vouchers import evidence
from node.messages import SignedVoucherMessage, TermsMessage
from node.transport import Target, Transport
from node.watch_messages import WatchChannel, WatchedChannel
from payments.channel import Channel, Status
from payments.types import ChannelId, NodeId

log = logging.getLogger("tithebarn.farmer")

Totals = tuple[int, int]
"""Of the newest unconditional and of the newest proven voucher."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a tower should hold of one channel."""

    channel: Channel
    book: Book

    @property
    def totals(self) -> Totals:
        """How new it is."""
        paid, proven = self.book.earnings.paid, self.book.earnings.proven
        return (paid.total if paid else 0, proven.total if proven else 0)

    def message(self, held: Held | None) -> WatchChannel:
        """Put it into words; `held` is the proof of its proven voucher."""
        paid, proven = self.book.earnings.paid, self.book.earnings.proven
        return WatchChannel(
            terms=TermsMessage.of(self.channel.terms),
            paid=SignedVoucherMessage.of(paid) if paid else None,
            proven=evidence(proven, held) if proven and held else None,
        )


class TowerPost:
    """Sends to every tower that the configuration names. Close it when done."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._transport = Transport(farm.key, farm.clock)
        self._sent: dict[tuple[NodeId, ChannelId], Totals] = {}
        self._faults: dict[NodeId, str] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    @property
    def trouble(self) -> tuple[str, ...]:
        """Which towers do not hold what they should, in sentences."""
        return tuple(f"watchtower 0x{node.hex()[:16]}: {fault}" for node, fault in self._faults.items())

    async def deliver(self) -> None:
        """Bring every tower up to date."""
        towers = dict(read_tower(text) for text in self._farm.config.towers)
        self._faults = {node: fault for node, fault in self._faults.items() if node in towers}
        if not towers:
            return
        parcels = self._farm.database.read(_parcels)
        for node, url in towers.items():
            await self._serve(node, Target(node, (url,)), parcels)

    async def _serve(self, node: NodeId, target: Target, parcels: list[Parcel]) -> None:
        """Send one tower what it does not hold; on the first fault, the rest waits for the next time."""
        for parcel in parcels:
            key = (node, parcel.channel.id)
            if self._sent.get(key, (0, 0)) == parcel.totals:
                continue
            newest, held = self._farm.database.read(partial(_pack, parcel=parcel))
            try:
                await self._transport.post(target, "/v1/watch", newest.message(held), WatchedChannel)
            except NodeError as error:
                if self._faults.get(node) != str(error):
                    log.warning("tower_behind tower=%s reason=%s", node.hex(), error)
                self._faults[node] = str(error)
                return
            self._sent[key] = newest.totals
        self._faults.pop(node, None)


def _pack(conn: Connection, parcel: Parcel) -> tuple[Parcel, Held | None]:
    """Read voucher and proof together: they belong to each other."""
    book = load_book(conn, parcel.channel.id) or parcel.book
    return replace(parcel, book=book), load_held(conn, parcel.channel.id)


def _parcels(conn: Connection) -> list[Parcel]:
    """What is worth protecting: channels that are not spent, with a voucher."""
    both = (Parcel(channel, book) for book, channel in list_books_with_channels(conn))
    return [
        one
        for one in both
        if one.channel.status is not Status.CLOSED and max(one.totals) > one.channel.claimed
    ]
