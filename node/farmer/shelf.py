"""A farmer's shelves: it keeps what its renters need for a new beginning, and gives it back to them only.

The newest version wins, whatever comes when. A renter has so much room and no more, as long as it has a
channel or a shard here; it counts against the farmer's capacity.
"""

from typing import Final

from node.db import Connection
from node.db.farmer import list_books_with_channels
from node.db.farmer_agreements import load_sums
from node.db.farmer_shelf import list_entries, list_shelved, load_entry, load_version, measure, save_entry
from node.farmer.errors import EntryNotFound, NoChannel, ShelfFull
from node.farmer.farm import Farm
from node.farmer.room import find_space
from node.messages import MAX_ENTRIES, ShelfEntry, ShelfList, ShelfPlace
from payments.channel import Status
from payments.types import GB, NodeId, Timestamp

ROOM: Final = 64 * 1024 * 1024
"""Bytes of one renter's shelf."""


async def keep(farm: Farm, node: NodeId, message: ShelfEntry) -> ShelfPlace:
    """Keep an entry unless a newer one is there; tell which version is kept now.

    Raises NoChannel, ShelfFull, CapacityExceeded, StoreFault.
    """

    def work(conn: Connection) -> int:
        known = load_version(conn, node, message.entry)
        if known is not None and known >= message.version:
            return known
        room = _room_of(conn, farm, node)
        size, count = measure(conn, node, message.entry)
        if size + len(message.sealed) > room or count >= MAX_ENTRIES:
            raise ShelfFull(room, MAX_ENTRIES)
        more = len(message.sealed) - (measure(conn, node, b"")[0] - size)  # than its elder, which goes
        if more > 0:
            find_space(conn, farm, more)
        save_entry(conn, node, message.entry, message.version, message.sealed)
        return message.version

    return ShelfPlace(entry=message.entry, version=await farm.database.write(work))


def _room_of(conn: Connection, farm: Farm, node: NodeId) -> int:
    """Bytes that a renter may have kept: what its deposits would store for a year. Raises NoChannel."""
    both = list_books_with_channels(conn, [node])
    deposits = [channel.deposit - channel.claimed for _, channel in both if channel.status is Status.FUNDED]
    if not deposits:
        raise NoChannel(node)
    price = 12 * farm.config.offer.prices.storage_per_gb_month
    return min(ROOM, sum(deposits) * GB // price) if price else ROOM


def find_abandoned(conn: Connection, since: Timestamp) -> list[NodeId]:
    """Find renters with a shelf and nothing else: no shard, and channels that were closed before `since`."""
    return [renter for renter in list_shelved(conn) if _has_left(conn, renter, since)]


def _has_left(conn: Connection, renter: NodeId, since: Timestamp) -> bool:
    both = list_books_with_channels(conn, [renter])
    closed = all(one.status is Status.CLOSED and one.closes_at < since for _, one in both)
    return closed and not load_sums(conn, renter).stored


def show(farm: Farm, node: NodeId) -> ShelfList:
    """List what is kept for a renter."""
    found = farm.database.read(lambda conn: list_entries(conn, node))
    return ShelfList(entries=tuple(ShelfPlace(entry=entry, version=version) for entry, version in found))


def give_back(farm: Farm, node: NodeId, entry: bytes) -> ShelfEntry:
    """Return an entry. Raises EntryNotFound."""
    found = farm.database.read(lambda conn: load_entry(conn, node, entry))
    if found is None:
        raise EntryNotFound(entry)
    version, sealed = found
    return ShelfEntry(entry=entry, version=version, sealed=sealed)
