"""The checker: how every segment stands, by what audits have found."""

from collections.abc import Iterable
from dataclasses import dataclass

from node.db import Connection
from node.db.renter_files import FileRecord, FileState, load_file_by_id
from node.db.renter_peers import load_peers
from node.db.renter_presence import load_away, load_scores
from node.db.renter_repairs import load_keeps
from node.db.renter_shards import ShardRecord, ShardState, list_suspects, load_shards
from node.renter.context import Context
from node.renter.health import RENEWED, Known, SegmentHealth, segment_health
from payments.types import NodeId, Timestamp


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

    def known(self, conn: Connection) -> Known:
        """Return what is known beside the shards themselves."""
        return Known(
            now=self._context.now(),
            peers=_peers(conn),
            away=load_away(conn),
            scores=load_scores(conn),
            kept_until=load_keeps(conn),
        )

    def health(self, conn: Connection, file: FileRecord, known: Known) -> tuple[SegmentHealth, ...]:
        """Judge every segment of a file."""
        shards = load_shards(conn, file.file_id)
        return judge(file, [shard for shard in shards if shard.state is ShardState.STORED], known)

    def segment(self, conn: Connection, file: FileRecord, number: int) -> SegmentHealth:
        """Judge one segment."""
        shards = load_shards(conn, file.file_id, number)
        stored = [shard for shard in shards if shard.state is ShardState.STORED]
        return segment_health(number, file.k, file.n, stored, self.known(conn))

    def suspects(self, conn: Connection) -> list[FileRecord]:
        """Return the files that may want something: repair, new agreements, an end to half a repair."""
        soon = Timestamp(self._context.now() + RENEWED)
        named = list_suspects(conn, soon, load_away(conn), _peers(conn))
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


def _peers(conn: Connection) -> frozenset[NodeId]:
    return frozenset(peer.node for peer in load_peers(conn))
