"""Losses: shards that are not what they must be, or are not there. Each is given up alone.

An agreement whose shard is lost is LOST in the books: it earns and owes nothing further, its renter is told
so when it asks, and what is left of the shard lies in quarantine for the farmer's owner to look at. A disk
that is away as a whole is no loss: nothing is given up then, see node.store_marker.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from node.db import Connection
from node.db.farmer_agreements import load_agreements, save_agreement
from node.errors import NodeError
from node.farmer.hoard import Hoard
from node.messages import AgreementState
from node.store_faults import ShardsGone
from payments.types import Timestamp

log = logging.getLogger("tithebarn.farmer")

A_FEW = 10
"""Shards that may be missing at a start, whatever their share."""
SHARE = 10
"""Beyond a few, no more than one in so many."""


async def give_up(hoard: Hoard, lost: Mapping[bytes, str]) -> None:
    """Give up these shards, each for its reason: in the books first, then on the disk.

    Agreements that are no longer stored are left as they are. Raises StorageError.
    """
    now = Timestamp(hoard.clock())

    def step(conn: Connection) -> list[bytes]:
        ended = []
        for name, record in load_agreements(conn, lost).items():
            if record.state is AgreementState.STORED:
                save_agreement(conn, replace(record, state=AgreementState.LOST, since=now))
                ended.append(name)
        return ended

    for name in await hoard.database.write(step):
        log.error("shard_lost agreement=%s reason=%s", name.hex(), lost[name])
        hoard.stats.count("shards_lost")
        await set_apart(hoard, name)


async def set_apart(hoard: Hoard, shard: bytes) -> None:
    """Move what is left of a lost shard into quarantine; what cannot be moved now is by the next start."""
    try:
        await asyncio.to_thread(hoard.store.put_aside, shard, hoard.store.quarantine, hoard.clock())
    except NodeError as fault:
        log.warning("shard_left code=%s agreement=%s", fault.code, shard.hex())


def check_missing(folder: Path, missing: int, due: int) -> None:
    """Refuse to give up a good part of all shards at once: that is a disk, no accident. Raises ShardsGone."""
    if missing > max(A_FEW, due // SHARE):
        raise ShardsGone(folder, missing, due)
