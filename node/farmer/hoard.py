"""A Hoard: what looking after shards needs of a farm: books, disk, statistics, clock; no chain and no key.

So the owner's commands can look after the shards of a farmer that is at rest.
"""

from dataclasses import dataclass

from node.clock import Clock
from node.db.stats import Statistics
from node.shard_store import ShardStore
from payments.types import Seconds
from settlement.database import Database


@dataclass(frozen=True, slots=True)
class Hoard:
    """The shards of one farmer, and what is written down of them. `longest`: an agreement may run so long."""

    database: Database
    store: ShardStore
    stats: Statistics
    clock: Clock
    longest: Seconds
