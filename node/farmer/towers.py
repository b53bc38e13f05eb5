"""The TowerPost: sends a farmer's newest vouchers to its watchtowers, behind everything else.

What a tower has acknowledged is remembered while the farmer runs; after a restart all is sent again, which
changes nothing there. A tower that does not answer costs nobody anything but its own protection.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial

from node.db import Connection
from node.db.farmer import Book, Held, list_books_with_channels, load_book, load_held
from node.errors import NodeError, PeerFault
from node.farmer.config import read_tower
from node.farmer.farm import Farm
from node.farmer.vouchers import evidence
from node.messages import SignedVoucherMessage, TermsMessage
from node.transport import PeerRefused, Target, Transport
from node.watch_messages import WatchChannel, WatchedChannel
from payments.channel import Channel, Status
from payments.types import ChannelId, NodeId

log = logging.getLogger("tithebarn.farmer")

REFUSED_SECONDS = 600
"""A parcel that a tower refuses is not brought again for so long, unless it holds something newer."""
_OF_US = ("NOT_SERVED", "WRONG_RECIPIENT", "STALE_REQUEST", "TOO_MANY_REQUESTS", "RATE_LIMITED", "BUSY")
"""Refusals that the next parcel would meet as well."""
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a tower has refused, until when it is not asked again (unix seconds), and what it said."""

    totals: Totals
    until: int
    sentence: str

    def stands(self, totals: Totals, now: int) -> bool:
        """Whether there is no reason yet to bring it again."""
        return totals == self.totals and now < self.until


class TowerPost:
    """Sends to every tower that the configuration names. Close it when done."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._transport = Transport(farm.key, farm.clock)
        self._sent: dict[tuple[NodeId, ChannelId], Totals] = {}
        self._refused: dict[tuple[NodeId, ChannelId], Refusal] = {}
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
        """Send one tower what it does not hold.

        A parcel that it refuses waits for a while, and the others go on; a tower that is away, or takes
        nothing from us now, is left alone until the next time.
        """
        fault = ""
        for parcel in parcels:
            key, now = (node, parcel.channel.id), self._farm.now()
            if self._sent.get(key, (0, 0)) == parcel.totals:
                continue
            if (known := self._refused.get(key)) and known.stands(parcel.totals, now):
                fault = known.sentence
                continue
            newest, held = self._farm.database.read(partial(_pack, parcel=parcel))
            try:
                await self._transport.post(target, "/v1/watch", newest.message(held), WatchedChannel)
            except NodeError as error:
                fault = str(error)
                if not isinstance(error, PeerFault) or _takes_nothing(error):
                    break
                fault = f"channel 0x{parcel.channel.id.hex()[:16]}: {error}"
                self._refused[key] = Refusal(newest.totals, now + REFUSED_SECONDS, fault)
            else:
                self._sent[key] = newest.totals
                self._refused.pop(key, None)
        self._note(node, fault)

    def _note(self, node: NodeId, fault: str) -> None:
        """Remember what is wrong with a tower, or that nothing is."""
        if fault and self._faults.get(node) != fault:
            log.warning("tower_behind tower=%s reason=%s", node.hex(), fault)
        self._faults.pop(node, None)
        if fault:
            self._faults[node] = fault


def _takes_nothing(error: PeerFault) -> bool:
    """Whether a tower has refused us, or everybody for now, rather than this one parcel."""
    return isinstance(error, PeerRefused) and error.error in _OF_US


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
