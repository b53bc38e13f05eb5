"""A get: a file, or a range of it, segment after segment, each rebuilt, decrypted and written.

The next segment is fetched meanwhile. A whole file appears when its SHA-256 is that of the manifest; of a
range every byte was proven to be the agreements' (leaves) and the file's (sealed chunks). A whole file that
was interrupted goes on where its part ends.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar

from node.db import Connection
from node.db.renter_files import FileRecord, FileState, load_file
from node.db.renter_shards import ShardRecord, load_shards
from node.manifest import File, Segment, open_manifest
from node.renter.accounts import Accounts
from node.renter.context import Context
from node.renter.download import Downloader
from node.renter.errors import FileCorrupt, RangeOutOfFile, UnknownFile
from node.renter.output import Output, open_output
from node.renter.pace import Pace
from node.renter.peers import Peers
from node.renter.reads import Reads
from node.renter.reports import Fault, Progress
from node.renter.window import Memory, Window, cost_of
from node.segments import Part, parts_covering
from node.tasks import end, finish
from payments.types import Amount

T = TypeVar("T")

UNKNOWN_LAPSES: Final = 1_000


class Digest(Protocol):
    """A running hash."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""
        ...

    def digest(self) -> bytes:
        """Return the hash of all that was taken."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read: of which file, from which byte on, how many (None: to the end), and where to."""

    name: str
    out: Path | BinaryIO
    offset: int
    length: int | None
    progress: Progress


@dataclass(frozen=True, slots=True)
class Got:
    """What came of it: the file's record and shards, the range in bytes, troubles, what farmers earned."""

    file: FileRecord
    shards: tuple[ShardRecord, ...]
    offset: int
    length: int
    faults: tuple[Fault, ...]
    paid: Amount


@dataclass(slots=True)
class _Job:
    """One get under way. shards: by agreement; whole: it is all of the file, so its hash can be checked."""

    manifest: File
    shards: dict[bytes, ShardRecord]
    downloader: Downloader
    output: Output
    offset: int
    length: int
    memory: Memory = field(default_factory=Memory)

    @property
    def whole(self) -> bool:
        return self.length == self.manifest.size


class Getter:
    """Gets files back."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts
        self._pace = Pace()

    async def get(self, wanted: Wanted) -> Got:
        """Write a file, or a range of it, to its place. Raises as `Files.get` does."""
        record, shards = self._look_up(wanted.name)
        manifest = open_manifest(record.manifest, self._context.keys.master)
        offset, length = _range(manifest, wanted)
        content = record.file_id if length == manifest.size else None
        output = await asyncio.to_thread(open_output, wanted.out, content)
        received = _Received(wanted.progress, length)
        reads = Reads(self._context, self._accounts)
        downloader = Downloader(
            self._context, self._accounts, reads, self._pace, name=wanted.name, received=received
        )
        known = {shard.agreement_id: shard for shard in shards if shard.stored}
        job = _Job(manifest, known, downloader, output, offset, length)
        try:
            await self._write_checked(job, received)
            await reads.booked()
            await asyncio.to_thread(output.commit)
        except asyncio.CancelledError:
            output.keep()
            raise
        finally:
            job.memory.clear()
            await asyncio.to_thread(output.discard)
        wanted.progress(length, length)
        return Got(record, shards, offset, length, tuple(downloader.faults), Amount(reads.paid))

    def _look_up(self, name: str) -> tuple[FileRecord, tuple[ShardRecord, ...]]:
        def work(conn: Connection) -> tuple[FileRecord, tuple[ShardRecord, ...]]:
            record = load_file(conn, name, FileState.STORED)
            if record is None:
                raise UnknownFile(name)
            return record, load_shards(conn, record.file_id)

        return self._context.database.read(work)

    async def _write_checked(self, job: _Job, received: "_Received") -> None:
        """Write what is wanted; a part that turns out not to be of the file is thrown away, once."""
        kept = job.output.kept
        if kept > job.length:
            await asyncio.to_thread(job.output.restart)
        digest = await self._write(job, received)
        if job.whole and digest != job.manifest.sha256 and kept:
            await asyncio.to_thread(job.output.restart)
            digest = await self._write(job, received)
        if job.whole and digest != job.manifest.sha256:
            raise FileCorrupt(job.manifest.name, job.manifest.sha256, digest)

    async def _write(self, job: _Job, received: "_Received") -> bytes:
        """Write all that is not there yet, in order; the SHA-256 of the whole output."""
        digest = await _beside(_hash_kept, job.output)
        kept = job.output.kept
        segments = job.manifest.segments
        lengths = tuple(segment.plaintext_length for segment in segments)
        parts = list(parts_covering(lengths, job.offset + kept, job.length - kept))
        received.expect(kept, sum(cost_of(segments[part.segment], part) for part in parts))
        ahead = [self._fetch(job, part) for part in parts[:1]]
        try:
            for following in [*parts[1:], None]:
                if not ahead:
                    break  # there was nothing to read
                window = await ahead.pop()
                if following is not None:
                    ahead.append(self._fetch(job, following))
                await _beside(self._open, job, window, digest)
                window.close()
        finally:
            await end(ahead)
        return digest.digest()

    def _fetch(self, job: _Job, part: Part) -> "asyncio.Task[Window]":
        window = Window(job.manifest.segments[part.segment], part, job.memory)
        candidates = self._candidates(job, window.segment)
        return asyncio.create_task(job.downloader.fetch(window, candidates))

    def _candidates(self, job: _Job, segment: Segment) -> list[ShardRecord]:
        """Order a segment's shards: not lost, fit, reliable and cheap farmers first, then data first."""
        lapses = self._peers.lapses()

        def key(shard: ShardRecord) -> tuple[bool, bool, int, int, int]:
            terms = shard.agreement
            reliable = lapses.get(terms.farmer, UNKNOWN_LAPSES)
            return shard.lost, not job.downloader.is_fit(shard), reliable, terms.download_price, shard.index

        mine = [job.shards[one.agreement] for one in segment.shards if one.agreement in job.shards]
        return sorted(mine, key=key)

    def _open(self, job: _Job, window: Window, digest: Digest) -> None:
        """Decrypt and write one window. Raises CorruptChunk, WrongMasterKey, OSError."""
        segment = window.segment
        key = self._context.keys.master.unwrap(segment.id, segment.wrapped_key)
        output = job.output
        for chunk in window.open(key):
            output.write(chunk)
            digest.update(chunk)


class _Received:
    """Turns bytes of shards that came into bytes of what is read."""

    def __init__(self, progress: Progress, length: int) -> None:
        self._progress = progress
        self._length = length
        self._kept = 0
        self._needed = 1
        self._bytes = 0

    def expect(self, kept: int, needed: int) -> None:
        """Begin: so many bytes are there, the others take so many bytes of shards."""
        self._kept, self._needed, self._bytes = kept, max(1, needed), 0

    def __call__(self, count: int) -> None:
        """Hear of `count` more bytes."""
        self._bytes = min(self._needed, self._bytes + count)
        done = self._kept + (self._length - self._kept) * self._bytes // self._needed
        self._progress(done, self._length)


def _range(manifest: File, wanted: Wanted) -> tuple[int, int]:
    """Return where a wanted range begins and how long it is. Raises RangeOutOfFile."""
    offset, size = wanted.offset, manifest.size
    length = size - offset if wanted.length is None else wanted.length
    if not (0 <= offset <= size and 0 <= length <= size - offset):
        raise RangeOutOfFile(wanted.name, offset, length, size)
    return offset, length


def _hash_kept(output: Output) -> Digest:
    """Hash what is there from before."""
    digest = sha256()
    for chunk in output.replay():
        digest.update(chunk)
    return digest


async def _beside(work: Callable[..., T], *arguments: object) -> T:
    """Run something beside the event loop, to its end: it uses our memory."""
    return await finish(asyncio.ensure_future(asyncio.to_thread(work, *arguments)))
