"""A farmer's shelves: it keeps what its renters need for a new beginning, and gives it back to them only.

The newest version wins, whatever comes when. A renter has so much room and no more.
"""

from typing import Final

from node.db import Connection
from node.db.farmer_shelf import list_entries, load_entry, load_version, measure, save_entry
from node.farmer.errors import EntryNotFound, ShelfFull
from node.farmer.farm import Farm
from node.messages import MAX_ENTRIES, ShelfEntry, ShelfList, ShelfPlace
from payments.types import NodeId

ROOM: Final = 64 * 1024 * 1024
"""Bytes of one renter's shelf."""


async def keep(farm: Farm, node: NodeId, message: ShelfEntry) -> ShelfPlace:
    """Keep an entry unless a newer one is there; tell which version is kept now. Raises ShelfFull."""

    def work(conn: Connection) -> int:
        known = load_version(conn, node, message.entry)
        if known is not None and known >= message.version:
            return known
        size, count = measure(conn, node, message.entry)
        if size + len(message.sealed) > ROOM or count >= MAX_ENTRIES:
            raise ShelfFull(ROOM, MAX_ENTRIES)
        save_entry(conn, node, message.entry, message.version, message.sealed)
        return message.version

    return ShelfPlace(entry=message.entry, version=await farm.database.write(work))


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
