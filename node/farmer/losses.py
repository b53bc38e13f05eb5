"""Losses: shards that are not what they must be, or are not there. Each is given up alone.

An agreement whose shard is lost is LOST in the books: it earns and owes nothing further, its renter is told
so when it asks, and what is left of the shard lies in quarantine for the farmer's owner to look at. That is
final, so before it every shard is read once more, to its end: one that is whole after all is spared. A disk
that is away as a whole is no loss: nothing is given up then, see node.store_marker.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from node.db import Connection
from node.db.farmer_agreements import FarmerAgreement, load_agreements, save_agreement
from node.errors import NodeError
from node.farmer.hoard import Hoard
from node.messages import AgreementState
from node.store_faults import ShardDamaged, ShardMissing, ShardsGone, StoreFault
from payments.types import Timestamp

log = logging.getLogger("tithebarn.farmer")

A_FEW = 10
"""Shards that may be missing at a start, whatever their share."""
SHARE = 10
"""Beyond a few, no more than one in so many."""


async def give_up(hoard: Hoard, lost: Mapping[bytes, str]) -> frozenset[bytes]:
    """Give up these shards, each for its reason: in the books first, then on the disk.

    Returns those that are spared: they are whole, or cannot be read now. Agreements that are no longer stored
    are left as they are. Raises StorageError.
    """
    now, spared = Timestamp(hoard.clock()), await asyncio.to_thread(_find_spared, hoard, lost)

    def step(conn: Connection) -> list[bytes]:
        ended = []
        for name, record in load_agreements(conn, lost).items():
            if record.state is AgreementState.STORED and name not in spared:
                save_agreement(conn, replace(record, state=AgreementState.LOST, since=now))
                ended.append(name)
        return ended

    for name in await hoard.database.write(step):
        log.error("shard_lost agreement=%s reason=%s", name.hex(), lost[name])
        hoard.stats.count("shards_lost")
        await set_apart(hoard, name)
    return spared


async def answer_for(hoard: Hoard, lost: Mapping[bytes, str]) -> None:
    """Give up what a renter has asked for. Raises StorageError, and StoreFault where some of it is spared."""
    if await give_up(hoard, lost):
        raise StoreFault(hoard.store.folder, "a shard could not be read, and is not lost: ask again")


def _find_spared(hoard: Hoard, lost: Iterable[bytes]) -> frozenset[bytes]:
    records = hoard.database.read(lambda conn: load_agreements(conn, lost))
    stored = [one for one in records.values() if one.state is AgreementState.STORED]
    return frozenset(one.id for one in stored if _may_be_whole(hoard, one))


def _may_be_whole(hoard: Hoard, record: FarmerAgreement) -> bool:
    try:
        hoard.store.verify(record.id, record.agreement.data_root)
    except (ShardMissing, ShardDamaged):
        return False
    except StoreFault as fault:
        log.warning("shard_unreadable code=%s agreement=%s", fault.code, record.id.hex())
    else:
        log.warning("shard_whole_after_all agreement=%s", record.id.hex())
    return True


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
