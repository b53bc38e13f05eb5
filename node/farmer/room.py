"""A farmer's room: what its shards take on the disk, and what it may still promise.

Whole files are counted, their Merkle trees and part-filled blocks included, and so is what lies in trash and
quarantine, and what renters have put on their shelves: a capacity of 500 GB never takes more. The trash is
given up, oldest first, when its room is wanted. Beside the capacity, some of the disk is left free, for the
books.
"""

import os
from dataclasses import dataclass

from node.db import Connection
from node.db.farmer_agreements import count_shards, used_bytes
from node.db.farmer_shelf import measure_all
from node.farmer.errors import CapacityExceeded
from node.farmer.farm import Farm

PER_SHARD = 9 * 1024
"""Bytes a shard takes beside its own and its tree's: the rests of two blocks, the lone nodes of the tree."""
TREE_SHARE = 16
"""A shard's tree has at most this part of its bytes: 64 for each leaf of 1,024."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes, all of them as they lie on the disk.

    stored, reserved: of shards kept and promised. trash, quarantine: put aside. shelves: kept for renters in
    the books. disk_free: what the filesystem has left; keep_free: what is not to be touched of it.
    """

    capacity: int
    stored: int
    reserved: int
    trash: int
    quarantine: int
    disk_free: int
    keep_free: int
    shelves: int = 0

    @property
    def untouched(self) -> int:
        """What is free without giving up trash; below 0 where too much is taken already."""
        taken = self.stored + self.reserved + self.trash + self.quarantine + self.shelves
        return min(self.capacity - taken, self.disk_free - self.reserved - self.keep_free)

    @property
    def free(self) -> int:
        """What may be promised."""
        return max(0, self.untouched + self.trash)

    @property
    def offered(self) -> int:
        """The longest shard that fits."""
        return max(0, (self.free - PER_SHARD) * TREE_SHARE // (TREE_SHARE + 1))


def footprint(length: int, shards: int = 1) -> int:
    """Bound the bytes on disk of so many shards that have `length` bytes in all."""
    return length + -(-length // TREE_SHARE) + shards * PER_SHARD


def measure_room(conn: Connection, farm: Farm) -> Room:
    """Measure it. Raises StoreFault."""
    stored, reserved = used_bytes(conn)
    kept, promised = count_shards(conn)
    store = farm.store
    with store.naming_faults():
        disk = os.statvfs(store.folder)
    return Room(
        capacity=farm.config.capacity,
        stored=footprint(stored, kept),
        reserved=footprint(reserved, promised),
        trash=store.trash.total.bytes,
        quarantine=store.quarantine.total.bytes,
        disk_free=disk.f_bavail * disk.f_frsize,
        keep_free=farm.config.keep_free,
        shelves=measure_all(conn),
    )


def find_promised(conn: Connection, farm: Farm, length: int) -> None:
    """Have the room for a shard that was promised without looking. Raises as `find_room`."""
    room = measure_room(conn, farm)
    if room.untouched + room.trash < 0:
        raise CapacityExceeded(length, 0)
    if room.untouched < 0:
        with farm.store.naming_faults():
            farm.store.trash.make_room(-room.untouched)


def find_room(conn: Connection, farm: Farm, length: int) -> None:
    """Have room for one more shard, by giving up trash if need be. Raises CapacityExceeded, StoreFault."""
    _find(conn, farm, length, footprint(length))


def find_space(conn: Connection, farm: Farm, length: int) -> None:
    """Have room for so many bytes in the books. Raises as `find_room`."""
    _find(conn, farm, length, length)


def _find(conn: Connection, farm: Farm, length: int, needed: int) -> None:
    room = measure_room(conn, farm)
    if needed > room.free:
        raise CapacityExceeded(length, room.offered)
    if needed > room.untouched:
        with farm.store.naming_faults():
            farm.store.trash.make_room(needed - room.untouched)
