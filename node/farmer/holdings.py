"""Holdings: the state of a farmer's disk, beside what the books say is stored on it."""

from dataclasses import dataclass
from typing import Final

from node.aside import Sum
from node.db import Connection
from node.db.farmer_agreements import count_lost, count_shards
from node.farmer.scanner import Scan
from node.shard_store import ShardStore
from node.store_faults import StoreAway, StoreFault
from payments.types import Timestamp
from settlement.database import Database

LATELY: Final = 7 * 86_400
"""Seconds for which a loss is news."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """The state of the disk.

    away: why no shard can be read, None if they can. trash, quarantine: what is put aside. lost: agreements
    whose shard was found damaged or gone, ever; lost_lately: in the last days. scan: how far the search for
    damage has come.
    """

    away: str | None
    trash: Sum
    quarantine: Sum
    lost: int
    lost_lately: int
    scan: Scan


def read_holdings(database: Database, store: ShardStore, scan: Scan, now: Timestamp) -> Holdings:
    """Read it, as of the last count of what is put aside. Raises StorageError."""

    def read(conn: Connection) -> tuple[int, int, int]:
        return count_shards(conn)[0], count_lost(conn), count_lost(conn, Timestamp(now - LATELY))

    stored, lost, lately = database.read(read)
    return Holdings(
        away=find_away(store, stored),
        trash=store.trash.total,
        quarantine=store.quarantine.total,
        lost=lost,
        lost_lately=lately,
        scan=scan,
    )


def find_away(store: ShardStore, stored: int) -> str | None:
    """Say why the disk of so many shards is not there, None if it is."""
    try:
        store.marker.check()
        if stored and store.marker.read() is None:
            raise StoreAway(store.folder)
    except StoreFault as fault:
        return str(fault)
    return None
