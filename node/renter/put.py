"""A put: a file becomes sealed segments with n farmers, and exists once all of them have signed for it.

Until then it is PUTTING, and a put that fails, is cancelled or is killed leaves nothing that is paid for: its
shards are deleted, by itself or after the next start. The file is read once, front to back; pipes work too.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from node.db import Connection
from node.db.renter_files import FileRecord, FileState, finish_file, insert_file, load_file
from node.db.renter_repairs import set_keep
from node.db.renter_shelf import renew_entry
from node.erasure import Codec
from node.manifest import File, Segment, seal_manifest
from node.master_key import NONCE_SIZE
from node.renter.accounts import Accounts
from node.renter.context import Context
from node.renter.crew import Crew
from node.renter.deletions import Deletions
from node.renter.errors import NameTaken, NotEnoughFarmers
from node.renter.peers import Peers
from node.renter.placement import Shape, choose_shape
from node.renter.reports import Fault, Progress
from node.renter.suppliers import Suppliers
from node.renter.upload import Job, Sealer, Uploader
from node.segments import read_segments
from payments.types import NodeId, Seconds, Timestamp

FILE_ID_BYTES: Final = 16
GIVE_UP_SECONDS: Final = 5.0
"""How long a failed put goes on telling farmers; `rent run` tells the others later."""


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
    """What came of it: the file's record, who holds it by shard index, troubles on the way."""

    file: FileRecord
    farmers: tuple[NodeId, ...]
    faults: tuple[Fault, ...]


class Putter:
    """Puts files."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts, deletions: Deletions) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts
        self._deletions = deletions
        self._suppliers = Suppliers(context, peers, accounts)

    async def put(self, wish: Wish) -> Stored:
        """Store a file. Raises as `Files.put` does."""
        with ExitStack() as stack:
            file = wish.source
            if isinstance(file, Path):
                file = stack.enter_context(await asyncio.to_thread(file.open, "rb"))
            suppliers, faults = await self._suppliers.find()
            try:
                shape = choose_shape(len(suppliers), wish.k, wish.n)
            except NotEnoughFarmers as error:
                raise NotEnoughFarmers(error.needed, error.usable, faults) from None
            file_id = os.urandom(FILE_ID_BYTES)
            async with self._context.locks.hold(file_id):
                record = await self._begin(file_id, wish, shape)
                try:
                    return await self._store(wish, record, _Reader(file), Crew(suppliers, shape.n), faults)
                except BaseException:
                    await self._give_up(file_id)
                    raise

    async def _begin(self, file_id: bytes, wish: Wish, shape: Shape) -> FileRecord:
        """Claim the name. Raises NameTaken."""
        name = wish.name
        record = FileRecord(file_id, name, FileState.PUTTING, shape.k, shape.n, self._context.now())

        def work(conn: Connection) -> None:
            if load_file(conn, name, FileState.PUTTING, FileState.STORED):
                raise NameTaken(name)
            insert_file(conn, record)
            set_keep(conn, file_id, wish.kept_until)

        await self._context.database.write(work)
        return record

    async def _store(
        self, wish: Wish, record: FileRecord, reader: "_Reader", crew: Crew, faults: tuple[Fault, ...]
    ) -> Stored:
        codec = Codec(record.k, record.n)
        sent = _Sent(wish.progress, _size(wish.source), record)
        job = Job(record.file_id, wish.name, codec, wish.seconds, sent)
        uploader = Uploader(self._context, self._peers, self._accounts, crew)
        sealer = Sealer(self._context, codec)
        rest: Iterator[Iterator[bytes]] = read_segments(reader, wish.segment_size)  # type: ignore[arg-type]  # it only reads
        segments: list[Segment] = []
        while sealed := await sealer.seal(len(segments), rest):
            segments.append(await uploader.upload(job, sealed))
            del sealed
        stored = await self._finish(record, reader, segments)
        wish.progress(stored.size, stored.size)
        return Stored(stored, crew.farmers, (*faults, *uploader.faults))

    async def _finish(self, record: FileRecord, reader: "_Reader", segments: list[Segment]) -> FileRecord:
        """Seal the manifest and declare the file stored: from here on it is acknowledged."""
        digest = reader.sha256
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
            renew_entry(conn, stored.file_id, self._context.now())

        await self._context.database.write(work)
        return stored

    async def _give_up(self, file_id: bytes) -> None:
        """Leave nothing behind, as far as that takes seconds only."""
        await self._deletions.give_up(file_id)
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self._deletions.tell(file_id)
        except TimeoutError:
            return


class _Reader:
    """A file that counts and hashes what is read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = sha256()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what was read."""
        return self._sha256.digest()

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
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


def _size(source: Path | BinaryIO) -> int:
    """Return the size of a file on disk; 0 where nobody knows it."""
    return source.stat().st_size if isinstance(source, Path) else 0
