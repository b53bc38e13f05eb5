"""Succession: shards that were made anew take the places of others, in books, manifest and shelf at once.

Whoever is killed between a farmer's countersignature and this leaves shards as REBUILT; the next one goes on
with them. A file has one shard an index: of two the better stays, and the other's agreement ends.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from node.db import Connection
from node.db.renter_files import FileRecord, FileState, load_file_by_id, set_manifest
from node.db.renter_shards import (
    ShardRecord,
    ShardState,
    delete_later,
    give_up_shards,
    load_shards,
    set_shard_state,
)
from node.db.renter_shelf import renew_entry
from node.manifest import File, Segment, Shard, open_manifest, seal_manifest
from node.master_key import NONCE_SIZE, MasterKey
from node.renter.health import Known, standing

_LIVE = (ShardState.STORED, ShardState.REBUILT)


@dataclass(frozen=True, slots=True)
class Succession:
    """What came of it: shards that took a place, and those whose agreements end for it."""

    taken: tuple[ShardRecord, ...] = ()
    ended: tuple[ShardRecord, ...] = ()


def succeed(conn: Connection, master: MasterKey, file_id: bytes, known: Known) -> Succession:
    """Let a file's rebuilt shards take their places. A file that was removed meanwhile keeps none."""
    file = load_file_by_id(conn, file_id)
    if file is None or file.state is not FileState.STORED:
        delete_later(conn, file_id, known.now)
        return Succession()
    live = [shard for shard in load_shards(conn, file_id) if shard.state in _LIVE]
    if not any(shard.state is ShardState.REBUILT for shard in live):
        return Succession()
    chosen = _choose(live, known)
    taken = tuple(shard for shard in chosen if shard.state is ShardState.REBUILT)
    names = {shard.agreement_id for shard in chosen}
    ended = tuple(shard for shard in live if shard.agreement_id not in names)
    set_shard_state(conn, [shard.agreement_id for shard in taken], ShardState.STORED)
    give_up_shards(conn, [shard.agreement_id for shard in ended], known.now)
    if taken:
        _rewrite(conn, master, file, chosen)
        renew_entry(conn, file_id, known.now)
    return Succession(taken, ended)


def better(old: ShardRecord, new: ShardRecord, known: Known) -> ShardRecord:
    """Choose between the shard that has a place and one made for it.

    The old one stays if it counts (again), unless its own farmer has signed for longer.
    """
    renewed = new.agreement.farmer == old.agreement.farmer
    return old if standing(old, known).counts and not renewed else new


def _choose(live: Iterable[ShardRecord], known: Known) -> list[ShardRecord]:
    places: dict[tuple[int, int], ShardRecord] = {}
    for shard in sorted(live, key=lambda one: one.state is ShardState.REBUILT):
        place = (shard.segment, shard.index)
        before = places.get(place)
        places[place] = shard if before is None else better(before, shard, known)
    return list(places.values())


def _rewrite(conn: Connection, master: MasterKey, file: FileRecord, chosen: Sequence[ShardRecord]) -> None:
    """Name the chosen shards, and no others, in the file's manifest."""
    found: defaultdict[int, list[ShardRecord]] = defaultdict(list)
    for shard in chosen:
        found[shard.segment].append(shard)
    manifest: File = open_manifest(file.manifest, master)
    segments = tuple(_name(segment, found[number]) for number, segment in enumerate(manifest.segments))
    sealed = seal_manifest(replace(manifest, segments=segments), master, os.urandom(NONCE_SIZE))
    set_manifest(conn, file.file_id, sealed)


def _name(segment: Segment, shards: Iterable[ShardRecord]) -> Segment:
    named = [
        Shard(one.index, one.agreement.farmer, one.agreement_id, one.agreement.data_root) for one in shards
    ]
    return replace(segment, shards=tuple(sorted(named, key=lambda shard: shard.index)))
