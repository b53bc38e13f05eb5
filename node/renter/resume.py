"""What a killed put has stored already: the next put of the same name goes on with it.

A segment counts when all its farmers have signed for it. It is used again only for the same plaintext: its
record has the SHA-256 of the file up to there. Keys are never used again for anything else. Whatever does not
fit is given up.
"""

from collections.abc import Mapping
from typing import Final

from node.db import Connection
from node.db.renter_files import FileRecord
from node.db.renter_segments import SegmentRecord, delete_segments, last_stored, load_segments
from node.db.renter_shards import ShardRecord, delete_unfinished, load_shards
from node.manifest import Segment, Shard
from node.renter.context import Context
from node.renter.sealing import Sealed
from payments.types import NodeId, Timestamp

RESUMABLE_SECONDS: Final = 3_600
"""How long after its last segment a killed put may be gone on with; then it is given up."""


def resumable(conn: Connection, file: FileRecord, now: Timestamp) -> bool:
    """Whether a put that died is worth going on with."""
    last = last_stored(conn, file.file_id)
    return last is not None and now < last + RESUMABLE_SECONDS


class Kept:
    """The segments of a put that died, by number; none for a new one."""

    def __init__(
        self, context: Context, file: FileRecord, segments: Mapping[int, tuple[SegmentRecord, Segment]]
    ) -> None:
        self._context = context
        self._file = file
        self._segments = dict(segments)
        self.used = 0

    @classmethod
    async def of(cls, context: Context, file: FileRecord) -> "Kept":
        """Find what there is of a file, and give up the rest of it."""
        now = context.now()

        def work(conn: Connection) -> dict[int, tuple[SegmentRecord, Segment]]:
            shards = load_shards(conn, file.file_id)
            found = {}
            for record in load_segments(conn, file.file_id):
                segment = _whole(file, record, shards, now)
                if segment is None:
                    delete_segments(conn, file.file_id, record.number)
                    break
                found[record.number] = (record, segment)
            delete_unfinished(conn, file.file_id, list(found), now)
            return found

        return cls(context, file, await context.database.write(work))

    @property
    def holders(self) -> dict[int, NodeId]:
        """Who holds the shards of the newest segment, by index."""
        if not self._segments:
            return {}
        _, segment = self._segments[max(self._segments)]
        return {shard.index: shard.farmer for shard in segment.shards}

    async def take(self, sealed: Sealed) -> Segment | None:
        """Return the stored segment with the plaintext of this one; None where it must be uploaded."""
        if sealed.number not in self._segments:
            return None
        record, segment = self._segments[sealed.number]
        if (record.prefix, record.length) != (sealed.prefix, sealed.length):
            await self.forget(sealed.number)
            return None
        self.used += 1
        return segment

    async def forget(self, first: int) -> None:
        """Give up what is kept from this segment on: the file goes on otherwise, or ends before."""
        kept = [number for number in self._segments if number < first]
        if len(kept) == len(self._segments):
            return
        file_id = self._file.file_id
        self._segments = {number: self._segments[number] for number in kept}

        def work(conn: Connection) -> None:
            delete_segments(conn, file_id, first)
            delete_unfinished(conn, file_id, kept, self._context.now())

        await self._context.database.write(work)


def _whole(
    file: FileRecord, record: SegmentRecord, shards: tuple[ShardRecord, ...], now: Timestamp
) -> Segment | None:
    """Put a segment together again; None if a shard of it is not there any more."""
    mine = [
        shard
        for shard in shards
        if shard.segment == record.number and shard.stored and not shard.lost and shard.agreement.end > now
    ]
    if {shard.index for shard in mine} != set(range(file.n)):
        return None
    return Segment(
        id=record.id,
        wrapped_key=record.wrapped_key,
        plaintext_length=record.length,
        k=file.k,
        n=file.n,
        shards=tuple(
            Shard(one.index, one.agreement.farmer, one.agreement_id, one.agreement.data_root) for one in mine
        ),
    )
