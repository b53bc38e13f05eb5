"""The checker: how every segment stands, by what audits have found."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from node.db import Connection
from node.db.renter_files import FileRecord, FileState, load_file_by_id
from node.db.renter_peers import load_nodes
from node.db.renter_presence import load_away, load_scores
from node.db.renter_purses import load_purses
from node.db.renter_repairs import load_keeps
from node.db.renter_shards import ShardRecord, ShardState, list_suspects, load_shards
from node.renter.accounts import usable_prepaid
from node.renter.context import Context
from node.renter.health import RENEWED, Known, SegmentHealth, segment_health
from payments.types import Timestamp


@dataclass(frozen=True, slots=True)
class Sick:
    """A segment that is not as it should be, and the file it is of."""

    file: FileRecord
    health: SegmentHealth


def judge(file: FileRecord, stored: Iterable[ShardRecord], known: Known) -> tuple[SegmentHealth, ...]:
    """Judge every segment of a file by its stored shards."""
    shards: list[list[ShardRecord]] = [[] for _ in range(file.segments)]
    for shard in stored:
        shards[shard.segment].append(shard)
    return tuple(segment_health(number, file.k, file.n, found, known) for number, found in enumerate(shards))


class Checker:
    """Looks at shards, files and farmers."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def known(self, conn: Connection, shards: Collection[ShardRecord] | None = None) -> Known:
        """Return what is known beside the shards themselves: of these, some hundreds at most, or of all."""
        names = None if shards is None else {shard.agreement_id for shard in shards}
        return Known(
            now=self._context.now(),
            peers=load_nodes(conn),
            away=load_away(conn, names),
            scores=load_scores(conn),
            kept_until=load_keeps(conn),
            prepaid={purse.farmer: usable_prepaid(purse) for purse in load_purses(conn)},
        )

    def health(self, conn: Connection, file: FileRecord, known: Known) -> tuple[SegmentHealth, ...]:
        """Judge every segment of a file."""
        shards = load_shards(conn, file.file_id)
        return judge(file, [shard for shard in shards if shard.state is ShardState.STORED], known)

    def segment(self, conn: Connection, file: FileRecord, number: int) -> SegmentHealth:
        """Judge one segment."""
        shards = load_shards(conn, file.file_id, number)
        stored = [shard for shard in shards if shard.state is ShardState.STORED]
        return segment_health(number, file.k, file.n, stored, self.known(conn, stored))

    def suspects(self, conn: Connection) -> list[FileRecord]:
        """Return the files that may want something: repair, new agreements, an end to half a repair."""
        now = self._context.now()
        named = list_suspects(conn, now, Timestamp(now + RENEWED), load_away(conn), load_nodes(conn))
        files = (load_file_by_id(conn, file_id) for file_id in sorted(named))
        return [file for file in files if file is not None and file.state is FileState.STORED]

    def sick(self, conn: Connection, files: list[FileRecord]) -> list[Sick]:
        """Return the segments of these files that lack shards, those in the greatest danger first.

        Files that are not to be kept any longer are left alone.
        """
        known = self.known(conn)
        found = [
            Sick(file, health)
            for file in files
            if known.kept_until.get(file.file_id, known.now + 1) > known.now
            for health in self.health(conn, file, known)
            if health.missing
        ]
        return sorted(found, key=lambda one: one.health.slack)
