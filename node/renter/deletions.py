"""Deletions: what a renter gave up is remembered until its farmer has confirmed that it is gone.

A put that failed, a file that was removed, a put that was killed and not gone on with: all end here. Nothing
is audited or paid for meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from node.db import Connection
from node.db.renter_files import FileRecord, FileState, load_files, set_file_state
from node.db.renter_segments import delete_segments
from node.db.renter_shards import ShardRecord, ShardState, delete_later, load_deletions, set_shard_state
from node.db.renter_shelf import load_version, renew_entry
from node.errors import NodeError
from node.messages import AgreementView
from node.renter.accounts import agreement_path
from node.renter.context import Context
from node.renter.faults import to_fault
from node.renter.peers import Peers
from node.renter.reports import Fault
from node.renter.resume import resumable
from node.tasks import all_of
from node.transport import PeerRefused
from payments.types import NodeId

AT_ONCE: Final = 32
PAUSE: Final = 3_600
"""Seconds until a run tries again to tell a farmer that could not be told: it may be gone for good."""
GONE: Final = frozenset({"AGREEMENT_NOT_FOUND", "AGREEMENT_OVER"})


class Deletions:
    """Tells farmers what they need not keep."""

    def __init__(self, context: Context, peers: Peers) -> None:
        self._context = context
        self._peers = peers
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._resting: dict[NodeId, int] = {}

    async def give_up(self, file_id: bytes) -> int:
        """Give a file up, its shards to be deleted; how many there are."""

        def work(conn: Connection) -> int:
            set_file_state(conn, file_id, FileState.REMOVED)
            delete_segments(conn, file_id)
            if load_version(conn, file_id) is not None:
                renew_entry(conn, file_id, self._context.now())
            return delete_later(conn, file_id, self._context.now())

        return await self._context.database.write(work)

    async def give_up_dead_puts(self) -> int:
        """Give up the files whose put did not live to its end, unless it may be gone on with; how many."""
        now = self._context.now()

        def work(conn: Connection) -> list[FileRecord]:
            return [file for file in load_files(conn, FileState.PUTTING) if not resumable(conn, file, now)]

        files = self._context.database.read(work)
        given_up = 0
        for file in files:
            async with self._context.locks.try_hold(file.file_id) as dead:
                if dead:
                    await self.give_up(file.file_id)
                    given_up += 1
        return given_up

    async def tell_on(self) -> tuple[Fault, ...]:
        """Tell farmers again, but none that could not be told in the last hour; who could not be told now."""
        now = self._context.now()
        faults = await self._tell_all(lambda shard: self._resting.get(shard.agreement.farmer, 0) <= now)
        self._resting.update({fault.farmer: now + PAUSE for fault in faults})
        return faults

    async def tell(self, file_id: bytes | None = None) -> tuple[Fault, ...]:
        """Tell farmers of unconfirmed deletions, of one file or all; who could not be told."""
        return await self._tell_all(lambda shard: file_id in (None, shard.file_id))

    async def _tell_all(self, chosen: Callable[[ShardRecord], bool]) -> tuple[Fault, ...]:
        by_farmer: dict[NodeId, list[ShardRecord]] = {}
        for shard in filter(chosen, self._context.database.read(load_deletions)):
            by_farmer.setdefault(shard.agreement.farmer, []).append(shard)
        faults = await all_of(self._tell(farmer, its) for farmer, its in by_farmer.items())
        return tuple(fault for fault in faults if fault is not None)

    async def _tell(self, farmer: NodeId, shards: Iterable[ShardRecord]) -> Fault | None:
        """Tell one farmer, shard by shard, until it cannot be reached."""
        gone: list[bytes] = []
        fault = None
        async with self._slots:
            for shard in shards:
                try:
                    await self._delete(farmer, shard)
                except NodeError as error:
                    fault = to_fault(farmer, error)
                    break
                gone.append(shard.agreement_id)
        if gone:
            await self._context.database.write(lambda conn: set_shard_state(conn, gone, ShardState.GONE))
        return fault

    async def _delete(self, farmer: NodeId, shard: ShardRecord) -> None:
        if self._context.now() >= shard.agreement.end:
            return
        path = agreement_path(shard.agreement_id)
        try:
            await self._context.transport.delete(self._peers.target(farmer), path, AgreementView)
        except PeerRefused as refusal:
            if refusal.error not in GONE:
                raise
