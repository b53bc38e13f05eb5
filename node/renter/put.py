"""A put: a file becomes sealed segments with n farmers, and exists once all of them have signed for it.

Until then it is PUTTING, and a put that fails or is cancelled leaves nothing that is paid for: its shards are
deleted, by itself or after the next start. One that is killed may be gone on with for a while, see
node.renter.resume. The file is read once, front to back; pipes work too. While a segment is uploaded the next
one is read, encrypted and encoded, and as soon as that is done it follows: two are under way.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from node.db import Connection
from node.db.renter_files import FileRecord, FileState, finish_file, insert_file, load_file
from node.db.renter_repairs import set_keep
from node.db.renter_segments import delete_segments
from node.db.renter_shelf import renew_entry
from node.erasure import MAX_SHARDS, Codec
from node.manifest import File, Segment, seal_manifest
from node.master_key import NONCE_SIZE
from node.renter.accounts import Accounts
from node.renter.context import Context
from node.renter.courier import Job
from node.renter.crew import Crew, in_place
from node.renter.deletions import Deletions
from node.renter.errors import NameTaken, NotEnoughFarmers, PutFailed
from node.renter.peers import Peers
from node.renter.placement import DEFAULT_N, SMALL_BYTES, Shape, choose_shape
from node.renter.reports import Fault, Progress
from node.renter.resume import Kept
from node.renter.sealing import Buffers, Sealer
from node.renter.suppliers import Suppliers
from node.renter.upload import Uploader
from node.segments import read_exactly, read_segments
from node.tasks import all_of, end
from payments.types import NodeId, Seconds, Timestamp

FILE_ID_BYTES: Final = 16
GIVE_UP_SECONDS: Final = 5.0
"""How long a failed put goes on telling farmers; `rent run` tells the others later."""
UNDER_WAY: Final = 2
"""Segments in memory at the same time: one is uploaded, the next one follows."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be put: from where, under which name, in what shape, how long agreements run.

    kept_until: until when they are to be renewed; None: until it is removed.
    """

    source: Path | BinaryIO
    name: str
    k: int | None
    n: int | None
    segment_size: int
    seconds: Seconds
    progress: Progress
    kept_until: Timestamp | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What came of it: the file's record, who holds it by shard index, troubles on the way.

    resumed: segments that a killed put had stored already.
    """

    file: FileRecord
    farmers: tuple[NodeId, ...]
    faults: tuple[Fault, ...]
    resumed: int


class Putter:
    """Puts files."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts, deletions: Deletions) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts
        self._deletions = deletions
        self._suppliers = Suppliers(context, peers, accounts)
        self._telling: set[asyncio.Task[object]] = set()

    async def put(self, wish: Wish) -> Stored:
        """Store a file. Raises as `Files.put` does.

        A file on disk goes to farmers that have answered just now; if one of them is gone and no spare one is
        there, all are asked. A stream is read once: there they are asked first.
        """
        if isinstance(wish.source, Path) and self._suppliers.known(_enough(wish)):
            with suppress(PutFailed, NotEnoughFarmers):
                return await self._put(wish, ask=False)
        return await self._put(wish, ask=True)

    async def _put(self, wish: Wish, *, ask: bool) -> Stored:
        with ExitStack() as stack:
            file = wish.source
            if isinstance(file, Path):
                file = stack.enter_context(await asyncio.to_thread(file.open, "rb"))
            reader = await asyncio.to_thread(_Reader, file)
            suppliers, faults = await self._suppliers.find(ask=ask)
            try:
                shape = choose_shape(len(suppliers), wish.k, wish.n, small=reader.small)
            except NotEnoughFarmers as error:
                raise NotEnoughFarmers(error.needed, error.usable, faults) from None
            async with AsyncExitStack() as locks:
                record, kept = await self._begin(wish.name, shape, locks)
                crew = Crew(in_place(suppliers, kept.holders, shape.n), shape.n)
                try:
                    stored = await self._store(wish, record, reader, kept, crew)
                    return replace(stored, faults=(*faults, *stored.faults))
                except BaseException:
                    await self._give_up(record.file_id)
                    raise

    async def close(self) -> None:
        """Leave what farmers were not told yet to `rent run`."""
        await end(self._telling)

    async def _begin(self, name: str, shape: Shape, locks: AsyncExitStack) -> tuple[FileRecord, Kept]:
        """Claim the name, and hold its file; that of a put that died is gone on with. Raises NameTaken."""
        context = self._context
        dead = context.database.read(lambda conn: load_file(conn, name, FileState.PUTTING))
        if dead is not None:
            async with context.locks.try_hold(dead.file_id) as free:
                if not free:
                    raise NameTaken(name)
            if (dead.k, dead.n) == (shape.k, shape.n):
                await locks.enter_async_context(context.locks.hold(dead.file_id))
                return dead, await Kept.of(context, dead)
            await self._deletions.give_up(dead.file_id)
        file_id = os.urandom(FILE_ID_BYTES)
        await locks.enter_async_context(context.locks.hold(file_id))
        record = FileRecord(file_id, name, FileState.PUTTING, shape.k, shape.n, context.now())

        def work(conn: Connection) -> None:
            if load_file(conn, name, FileState.PUTTING, FileState.STORED):
                raise NameTaken(name)
            insert_file(conn, record)

        await context.database.write(work)
        return record, Kept(context, record, {})

    async def _store(
        self,
        wish: Wish,
        record: FileRecord,
        reader: "_Reader",
        kept: Kept,
        crew: Crew,
    ) -> Stored:
        codec = Codec(record.k, record.n)
        sent = _Sent(wish.progress, _size(wish.source), record)
        job = Job(record.file_id, wish.name, codec, wish.seconds, sent)
        uploader = Uploader(self._context, self._peers, self._accounts, crew)
        rest: Iterator[Iterator[bytes]] = read_segments(reader, wish.segment_size)  # type: ignore[arg-type]  # it only reads
        sealer = Sealer(self._context.keys.master, codec, rest, reader.digest)
        segments: dict[int, Segment] = {}

        async def carry() -> None:
            """Carry one segment after another through the same memory."""
            buffers = Buffers()
            while sealed := await sealer.seal(buffers):
                segment = await kept.take(sealed)
                if segment is None:
                    segment = await uploader.upload(job, sealed)
                else:
                    sent(len(sealed.shards[0]) * record.n)
                segments[sealed.number] = segment
                del sealed

        await all_of(carry() for _ in range(UNDER_WAY))
        await kept.forget(len(segments))
        whole = [segments[number] for number in sorted(segments)]
        stored = await self._finish(record, reader, whole, wish.kept_until)
        wish.progress(stored.size, stored.size)
        if uploader.dropped:
            self._tell_later(record.file_id)
        return Stored(stored, crew.farmers, tuple(uploader.faults), kept.used)

    async def _finish(
        self, record: FileRecord, reader: "_Reader", segments: list[Segment], kept_until: Timestamp | None
    ) -> FileRecord:
        """Seal the manifest and declare the file stored: from here on it is acknowledged."""
        digest = reader.digest()
        manifest = File(record.name, reader.size, digest, record.created_at, tuple(segments))
        stored = replace(
            record,
            state=FileState.STORED,
            size=reader.size,
            sha256=digest,
            segments=len(segments),
            manifest=seal_manifest(manifest, self._context.keys.master, os.urandom(NONCE_SIZE)),
        )

        def work(conn: Connection) -> None:
            finish_file(conn, stored)
            set_keep(conn, stored.file_id, kept_until)
            delete_segments(conn, stored.file_id)
            renew_entry(conn, stored.file_id, self._context.now())

        await self._context.database.write(work)
        return stored

    def _tell_later(self, file_id: bytes) -> None:
        """Tell farmers that were too slow, and may be slow still, without anybody waiting for it."""
        task: asyncio.Task[object] = asyncio.create_task(self._deletions.tell(file_id))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _give_up(self, file_id: bytes) -> None:
        """Leave nothing behind, as far as that takes seconds only."""
        await self._deletions.give_up(file_id)
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self._deletions.tell(file_id)
        except TimeoutError:
            return


class _Reader:
    """A file that counts and hashes what is read of it. Looks a little ahead, to know a small one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = sha256()
        self._ahead = read_exactly(file, SMALL_BYTES + 1)
        self.small = len(self._ahead) <= SMALL_BYTES
        self.size = 0

    def digest(self) -> bytes:
        """Return the SHA-256 of what was read."""
        return self._sha256.digest()

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data = self._file.read(size)
        self._sha256.update(data)
        self.size += len(data)
        return data


class _Sent:
    """Turns bytes of shards that were sent into bytes of the file that are safe."""

    def __init__(self, progress: Progress, total: int, record: FileRecord) -> None:
        self._progress = progress
        self._total = total
        self._record = record
        self._bytes = 0

    def __call__(self, count: int) -> None:
        """Hear of `count` more bytes."""
        self._bytes += count
        done = self._bytes * self._record.k // self._record.n
        self._progress(min(done, self._total) if self._total else done, self._total)


def _enough(wish: Wish) -> int:
    """Say how many farmers make it needless to look for more."""
    return wish.n or (DEFAULT_N if wish.k is None else MAX_SHARDS)


def _size(source: Path | BinaryIO) -> int:
    """Return the size of a file on disk; 0 where nobody knows it."""
    return source.stat().st_size if isinstance(source, Path) else 0
