"""A get: the segments of a file one after another, each decoded, decrypted and written.

The next one is fetched meanwhile. The file appears when it is whole and its SHA-256 is that of the manifest.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from node.cipher import decrypt_segment
from node.db import Connection
from node.db.renter_files import FileRecord, FileState, load_file
from node.db.renter_shards import ShardRecord, ShardState, load_shards
from node.erasure import Codec
from node.manifest import File, Segment, open_manifest
from node.renter.accounts import Accounts
from node.renter.context import Context
from node.renter.download import Downloader, Found
from node.renter.errors import FileCorrupt, UnknownFile
from node.renter.output import Output, open_output
from node.renter.peers import Peers
from node.renter.reports import Progress
from node.tasks import end

UNKNOWN_LAPSES: Final = 1_000


class Digest(Protocol):
    """A running hash."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""
        ...


class Getter:
    """Gets files back."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts

    async def get(self, name: str, out: Path | BinaryIO, progress: Progress) -> tuple[FileRecord, Downloader]:
        """Write a file to `out`; its record and how its download went. Raises as `Files.get` does."""
        record, shards = self._look_up(name)
        manifest = open_manifest(record.manifest, self._context.keys.master)
        received = _Received(progress, manifest)
        downloader = Downloader(self._context, self._accounts, name, received)
        output = await asyncio.to_thread(open_output, out)
        try:
            digest = await self._write(downloader, manifest, shards, output)
            if digest != manifest.sha256:
                raise FileCorrupt(name, manifest.sha256, digest)
            await asyncio.to_thread(output.commit)
        finally:
            await asyncio.to_thread(output.discard)
        progress(manifest.size, manifest.size)
        return record, downloader

    def _look_up(self, name: str) -> tuple[FileRecord, tuple[ShardRecord, ...]]:
        def work(conn: Connection) -> tuple[FileRecord, tuple[ShardRecord, ...]]:
            record = load_file(conn, name, FileState.STORED)
            if record is None:
                raise UnknownFile(name)
            return record, load_shards(conn, record.file_id)

        return self._context.database.read(work)

    async def _write(
        self, downloader: Downloader, manifest: File, shards: Sequence[ShardRecord], output: Output
    ) -> bytes:
        """Write all segments in order; the SHA-256 of what was written."""
        digest = sha256()
        ahead = self._fetch(downloader, manifest, shards, 0)
        try:
            for number in range(len(manifest.segments)):
                found = await ahead
                if number + 1 < len(manifest.segments):
                    ahead = self._fetch(downloader, manifest, shards, number + 1)
                await asyncio.to_thread(self._open_segment, found, output, digest)
        finally:
            await end([ahead])
        return digest.digest()

    def _fetch(
        self, downloader: Downloader, manifest: File, shards: Sequence[ShardRecord], number: int
    ) -> "asyncio.Task[Found]":
        segment = manifest.segments[number]
        candidates = self._candidates(segment, shards)
        return asyncio.create_task(downloader.fetch(number, segment, candidates))

    def _candidates(self, segment: Segment, shards: Sequence[ShardRecord]) -> list[ShardRecord]:
        """Order a segment's shards: not known as lost, reliable and cheap farmers first, data first."""
        named = {shard.agreement for shard in segment.shards}
        lapses = self._peers.lapses()

        def key(shard: ShardRecord) -> tuple[bool, int, int, int]:
            terms = shard.agreement
            return shard.lost, lapses.get(terms.farmer, UNKNOWN_LAPSES), terms.download_price, shard.index

        mine = [s for s in shards if s.agreement_id in named and s.state is ShardState.STORED]
        return sorted(mine, key=key)

    def _open_segment(self, found: Found, output: Output, digest: Digest) -> None:
        """Decode, decrypt and write one segment. Raises CorruptChunk, WrongMasterKey, OSError."""
        segment = found.segment
        key = self._context.keys.master.unwrap(segment.id, segment.wrapped_key)
        ciphertext = Codec(segment.k, segment.n).decode(found.shards, segment.ciphertext_length)
        for chunk in decrypt_segment(key, segment.id, segment.plaintext_length, ciphertext):
            output.write(chunk)
            digest.update(chunk)


class _Received:
    """Turns bytes of shards that came into bytes of the file."""

    def __init__(self, progress: Progress, manifest: File) -> None:
        self._progress = progress
        self._size = manifest.size
        self._needed = max(1, sum(segment.shard_length * segment.k for segment in manifest.segments))
        self._bytes = 0

    def __call__(self, count: int) -> None:
        """Hear of `count` more bytes."""
        self._bytes += count
        self._progress(min(self._size, self._size * self._bytes // self._needed), self._size)
