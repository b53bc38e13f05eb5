"""The renter's files: put, get, list, inspect, remove."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from node.db import Connection
from node.db.renter_audits import load_open_audits
from node.db.renter_files import FileRecord, FileState, load_file, load_files
from node.db.renter_repairs import set_keep
from node.db.renter_shards import ShardRecord, ShardState, load_shards
from node.db.renter_shelf import renew_entry
from node.renter.checker import Checker, judge
from node.renter.context import Context
from node.renter.deletions import Deletions
from node.renter.errors import UnknownFile
from node.renter.get import Getter, Wanted
from node.renter.health import Known, file_condition, keeping, standing
from node.renter.payments import Payments
from node.renter.put import Putter, Wish
from node.renter.reports import (
    FileHealth,
    FileInfo,
    GetReport,
    Progress,
    PutReport,
    RemoveReport,
    ShardInfo,
    Trouble,
    no_progress,
)
from node.renter.safety import Keeping, file_safe_until
from node.renter.shelf import Shelf
from node.renter.terms import STORED_FOR
from node.segments import SEGMENT_SIZE
from payments.prices import step_rate
from payments.types import Amount, Seconds, Timestamp

_PASSING: Final = (Trouble.OFFLINE, Trouble.TIMED_OUT)
"""Who does not take a new entry now for these is given it by `rent run`."""


class Files:
    """What a renter stores."""

    def __init__(
        self,
        context: Context,
        putter: Putter,
        getter: Getter,
        deletions: Deletions,
        *,
        payments: Payments,
        shelf: Shelf,
        checker: Checker,
    ) -> None:
        self._context = context
        self._putter = putter
        self._getter = getter
        self._deletions = deletions
        self._payments = payments
        self._shelf = shelf
        self._checker = checker

    async def put(
        self,
        source: Path | BinaryIO,
        name: str,
        *,
        k: int | None = None,
        n: int | None = None,
        segment_size: int = SEGMENT_SIZE,
        seconds: Seconds | None = None,
        progress: Progress = no_progress,
    ) -> PutReport:
        """Store a file, or a stream to its end, with n farmers; any k of them give it back.

        It is kept for `seconds`, or until it is removed, by a run that renews agreements (see `keep`).
        n and k: see node.renter.placement. Succeeds only when all n have signed for every segment; farmers
        that fail are replaced by spare ones. `file.safe_until` in the report says until when it is safe
        if nobody audits and pays: see node.renter.safety.

        Raises NameTaken, NotEnoughFarmers, ImpossibleShape, PutFailed, MalformedManifest (the name),
        SegmentSizeOutOfRange, StorageError, OSError.
        """
        until = None if seconds is None else Timestamp(self._context.now() + seconds)
        wish = Wish(source, name, k, n, segment_size, seconds or STORED_FOR, progress, until)
        stored = await self._putter.put(wish)
        shelved = await self._shelf.deliver(stored.file.file_id)
        shards = self._shards(stored.file)
        rates = (step_rate(one.agreement.step, one.agreement.audit_interval) for one in shards)
        return PutReport(
            file=self._info(stored.file),
            farmers=stored.farmers,
            faults=(*stored.faults, *(fault for fault in shelved if fault.trouble not in _PASSING)),
            price_per_month=Amount(sum(rates)),
            resumed=stored.resumed,
        )

    async def get(
        self,
        name: str,
        out: Path | BinaryIO,
        *,
        offset: int = 0,
        length: int | None = None,
        progress: Progress = no_progress,
    ) -> GetReport:
        """Read a file back, or `length` bytes of it, into a path or a stream.

        A path appears when all is there. A whole file that was interrupted is gone on with: what had come is
        in a hidden part beside the path. Of a range, whatever lies in it is read and no more than the leaves
        that hold it; its bytes are verified, the hash of the whole file is not.

        Raises UnknownFile, RangeOutOfFile, FileUnavailable (names what is missing), FileCorrupt,
        WrongMasterKey, CorruptChunk, StorageError, OSError; a path is untouched then and nothing is left
        beside it, a stream may have had a part.
        """
        got = await self._getter.get(Wanted(name, out, offset, length, progress))
        return GetReport(self._info(got.file, got.shards), got.offset, got.length, got.faults, got.paid)

    def ls(self) -> tuple[FileInfo, ...]:
        """Return every stored file, by name."""
        files = self._context.database.read(lambda conn: load_files(conn, FileState.STORED))
        return tuple(self._info(file) for file in files)

    def size(self, name: str) -> int:
        """Return how many bytes a file has. Raises UnknownFile."""
        return self._known(name).size

    def stat(self, name: str) -> FileHealth:
        """Return one file with its shards. Raises UnknownFile."""
        file = self._known(name)
        shards = self._shards(file)
        waiting = self._context.database.read(_unanswered)
        known = self._context.database.read(self._checker.known)
        return FileHealth(
            file=self._info(file),
            shards=tuple(_shard_info(shard, waiting, known) for shard in shards),
            segments=judge(file, shards, known),
        )

    async def keep(self, name: str, until: Timestamp | None) -> None:
        """Have a file kept until then, or until it is removed, by a run that renews agreements.

        What is agreed already stays agreed. Raises UnknownFile.
        """
        file = self._known(name)

        def work(conn: Connection) -> None:
            set_keep(conn, file.file_id, until)
            renew_entry(conn, file.file_id, self._context.now())

        await self._context.database.write(work)
        await self._shelf.deliver()

    async def rm(self, name: str) -> RemoveReport:
        """Remove a file: pay its farmers what they earned, then have its shards deleted. Raises UnknownFile.

        Farmers that cannot be told now are told by `rent run`; none is audited or paid for it any more.
        """
        file = self._known(name)
        farmers = {shard.agreement.farmer for shard in self._shards(file)}
        deleted = await self._deletions.give_up(file.file_id)
        await self._payments.pay_outstanding(farmers)
        pending = await self._deletions.tell(file.file_id)
        return RemoveReport(name, deleted, pending)

    def _known(self, name: str) -> FileRecord:
        file = self._context.database.read(lambda conn: load_file(conn, name, FileState.STORED))
        if file is None:
            raise UnknownFile(name)
        return file

    def _shards(self, file: FileRecord) -> tuple[ShardRecord, ...]:
        shards = self._context.database.read(lambda conn: load_shards(conn, file.file_id))
        return tuple(shard for shard in shards if shard.state is ShardState.STORED)

    def _info(self, file: FileRecord, shards: tuple[ShardRecord, ...] | None = None) -> FileInfo:
        """Describe a file; `shards` are its own where they have just been read."""

        def work(conn: Connection) -> tuple[tuple[ShardRecord, ...], Known]:
            found = load_shards(conn, file.file_id) if shards is None else shards
            return found, self._checker.known(conn)

        shards, known = self._context.database.read(work)
        stored = [shard for shard in shards if shard.state is ShardState.STORED]
        return FileInfo(
            name=file.name,
            size=file.size,
            sha256=file.sha256,
            k=file.k,
            n=file.n,
            segments=file.segments,
            created_at=file.created_at,
            ends_at=Timestamp(min((shard.agreement.end for shard in stored), default=0)),
            safe_until=file_safe_until(file.k, _keepings(file.segments, stored, known)),
            condition=file_condition(judge(file, stored, known)),
            kept_until=known.kept_until.get(file.file_id),
        )


def _keepings(segments: int, shards: Sequence[ShardRecord], known: Known) -> list[list[Keeping]]:
    """Say for each segment how its healthy shards are paid."""
    found: list[list[Keeping]] = [[] for _ in range(segments)]
    for shard in shards:
        if not shard.lost:
            found[shard.segment].append(keeping(shard, known.prepaid))
    return found


def _unanswered(conn: Connection) -> dict[bytes, Timestamp]:
    """Say of each agreement with an audit that waits for its answer since when."""
    return {
        item.agreement: Timestamp(audit.window.opened_at)
        for audit in load_open_audits(conn)
        if audit.tries
        for item in audit.challenge.items
    }


def _shard_info(shard: ShardRecord, waiting: Mapping[bytes, Timestamp], known: Known) -> ShardInfo:
    return ShardInfo(
        segment=shard.segment,
        index=shard.index,
        farmer=shard.agreement.farmer,
        agreement=shard.agreement_id,
        standing=standing(shard, known),
        outcome=shard.outcome,
        checked_at=shard.checked_at,
        unanswered_since=waiting.get(shard.agreement_id),
        ends_at=shard.agreement.end,
    )
