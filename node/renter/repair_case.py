"""Cases: which segments are to be repaired, the greatest danger first, and all that it takes to do it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.db import Connection
from node.db.renter_files import FileRecord, FileState, load_file, load_file_by_id
from node.db.renter_shards import ShardRecord, ShardState, load_shards
from node.manifest import Segment, open_manifest
from node.renter.checker import Checker, Sick
from node.renter.context import Context
from node.renter.errors import UnknownFile
from node.renter.health import Condition, SegmentHealth, Standing, standing
from node.renter.peers import Peers
from node.renter.repair_reports import PlannedRepair
from node.renter.terms import time_wanted
from payments.prices import read_price
from payments.types import Amount, NodeId, Seconds

_LIVE: Final = frozenset({ShardState.PROPOSED, ShardState.REBUILT, ShardState.STORED})


@dataclass(frozen=True, slots=True)
class Case:
    """A segment under repair: its file, manifest entry, live shards, how it stands."""

    file: FileRecord
    segment: Segment
    shards: tuple[ShardRecord, ...]
    health: SegmentHealth
    candidates: tuple[ShardRecord, ...]
    """Shards to read, in the order in which to ask."""

    @property
    def holders(self) -> frozenset[NodeId]:
        """Farmers with a shard of the segment, lost or not."""
        return frozenset(shard.agreement.farmer for shard in self.shards)

    def bytes(self, rebuilt: int) -> int:
        """Count the bytes that making so many shards moves: k are read, the new ones are sent."""
        return (self.segment.k + rebuilt) * self.segment.shard_length


class Cases:
    """Finds cases. What is asked with a connection is read by its caller; the rest reads for itself."""

    def __init__(self, context: Context, peers: Peers, checker: Checker) -> None:
        self._context = context
        self._peers = peers
        self._checker = checker

    def look(self, sick: Sick, *, full: bool) -> Case | None:
        """Look at a segment closely; None if it needs no repair, or its file is gone."""
        lapses = self._peers.lapses()

        def work(conn: Connection) -> Case | None:
            file = load_file_by_id(conn, sick.file.file_id)
            if file is None or file.state is not FileState.STORED:
                return None
            number, known = sick.health.segment, self._checker.known(conn)
            health = self._checker.segment(conn, file, number)
            if not due(health, full=full):
                return None

            def order(shard: ShardRecord) -> tuple[bool, int, int, int]:
                terms = shard.agreement
                counts = standing(shard, known).counts
                return not counts, lapses.get(terms.farmer, 0), terms.download_price, shard.index

            shards = [one for one in load_shards(conn, file.file_id, number) if one.state in _LIVE]
            stored = [one for one in shards if one.state is ShardState.STORED]
            held = [one for one in stored if standing(one, known) is not Standing.LOST]
            segment = open_manifest(file.manifest, self._context.keys.master).segments[number]
            return Case(file, segment, tuple(shards), health, tuple(sorted(held, key=order)))

        return self._context.database.read(work)

    def wanted(self, file_id: bytes, number: int, index: int | None, *, full: bool) -> bool:
        """Tell whether a segment is still to be repaired, and this shard of it still lost."""

        def work(conn: Connection) -> bool:
            file = load_file_by_id(conn, file_id)
            if file is None or file.state is not FileState.STORED:
                return False
            health = self._checker.segment(conn, file, number)
            return due(health, full=full) and (index is None or index in health.missing)

        return self._context.database.read(work)

    def plan(self, conn: Connection, names: Sequence[str] | None, *, full: bool) -> tuple[PlannedRepair, ...]:
        """Say of each of these what its repair moves and costs."""
        return tuple(_planned(conn, sick) for sick in self.sick(conn, names, full=full))

    def sick(self, conn: Connection, names: Sequence[str] | None, *, full: bool) -> list[Sick]:
        """Return the segments to be repaired, of these files or all. Raises UnknownFile.

        full: whatever lacks a shard, not only what is below its threshold.
        """
        if names is None:
            files = self._checker.suspects(conn)
        else:
            files = [_load(conn, name) for name in dict.fromkeys(names)]
        return [one for one in self._checker.sick(conn, files) if due(one.health, full=full)]

    def seconds(self, file: FileRecord) -> Seconds:
        """How long new agreements of a file are to run."""
        known = self._context.database.read(self._checker.known)
        return time_wanted(known.kept_until.get(file.file_id), known.now)


def due(health: SegmentHealth, *, full: bool) -> bool:
    """Whether a segment is to be repaired: it lacks enough shards, and can be read."""
    if health.condition is Condition.LOST or not health.missing:
        return False
    return full or health.condition is Condition.WEAK


def _load(conn: Connection, name: str) -> FileRecord:
    file = load_file(conn, name, FileState.STORED)
    if file is None:
        raise UnknownFile(name)
    return file


def _planned(conn: Connection, sick: Sick) -> PlannedRepair:
    """Say what a repair moves and costs, if every farmer that is asked gives its shard."""
    health = sick.health
    shards = [
        shard
        for shard in load_shards(conn, sick.file.file_id, health.segment)
        if shard.state is ShardState.STORED and shard.index not in health.missing
    ]
    prices = sorted(read_price(one.agreement.download_price, one.agreement.shard_length) for one in shards)
    length = max((shard.agreement.shard_length for shard in shards), default=0)
    moved = (health.k + len(health.missing)) * length
    return PlannedRepair(sick.file.name, health, moved, Amount(sum(prices[: health.k])))
