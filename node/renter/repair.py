"""Repair: a segment with too few healthy shards gets new ones, made of k verified ones, with new farmers.

The segment in the greatest danger comes first. Bytes are noted before they move, so that a day's cap holds
over restarts too, and put right when they have. New shards take the places of the lost when all of a segment
are there (node.renter.succession); should enough farmers come back meanwhile, what is not under way yet is
dropped.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from node.db import Connection
from node.db.renter_files import FileRecord
from node.db.renter_repairs import reserve_traffic, settle_traffic, sum_traffic
from node.db.renter_shards import ShardState, load_shards, set_shard_state
from node.erasure import Codec
from node.errors import NodeError
from node.renter.accounts import Accounts
from node.renter.checker import Checker, Sick
from node.renter.context import Context
from node.renter.courier import Job
from node.renter.crew import Crew, Supplier
from node.renter.download import Downloader
from node.renter.errors import FileUnavailable
from node.renter.faults import to_fault
from node.renter.pace import Pace
from node.renter.peers import Peers
from node.renter.reads import Reads
from node.renter.repair_case import Case, Cases
from node.renter.repair_reports import Ending, PlannedRepair, RepairResult
from node.renter.reports import Fault
from node.renter.schedule import DAY
from node.renter.sealing import Sealed
from node.renter.succession import Succession, succeed
from node.renter.suppliers import Suppliers
from node.renter.upload import AT_ONCE, Uploader
from node.renter.window import Memory, Window
from node.segments import Part
from node.tasks import all_of
from payments.errors import PaymentError
from payments.types import Amount, Timestamp

LOCK: Final = sha256(b"tithebarn repair").digest()
"""Held by the one program of this renter that repairs."""
PAUSE: Final = 3_600
"""Seconds until a segment that could not be repaired is tried again by itself."""


def no_result(result: RepairResult) -> None:
    """Take no notice of a result."""


class _Moved:
    """Bytes that went over the network."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, count: int) -> None:
        """Hear of `count` more bytes."""
        self.bytes += count


class Repairs:
    """Repairs segments."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts, checker: Checker) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts
        self._checker = checker
        self._cases = Cases(context, peers, checker)
        self._suppliers = Suppliers(context, peers, accounts)
        self._pace = Pace()
        self._resting: dict[tuple[bytes, int], Timestamp] = {}
        self._busy = False

    def plan(self, names: Iterable[str] | None = None, *, full: bool = False) -> tuple[PlannedRepair, ...]:
        """Say what is to be repaired, of these files or all, the greatest danger first.

        full: whatever lacks a shard, not only what is below its threshold. Raises UnknownFile.
        """
        wanted = None if names is None else list(names)
        return self._context.database.read(lambda conn: self._cases.plan(conn, wanted, full=full))

    async def repair(
        self,
        names: Iterable[str] | None = None,
        *,
        full: bool = False,
        cap: int | None = None,
        on_result: Callable[[RepairResult], None] = no_result,
    ) -> tuple[RepairResult, ...]:
        """Repair what `plan` says, now; one result a segment. Nothing while another program does.

        cap: bytes that repairs may move in 24 hours; who gives one also waits an hour before a segment that
        could not be repaired is tried again. Raises UnknownFile, WrongMasterKey, StorageError.
        """
        wanted = None if names is None else list(names)
        async with self._context.locks.try_hold(LOCK) as mine:
            if not mine or self._busy:
                return ()
            self._busy = True
            try:
                return await self._repair(wanted, full=full, cap=cap, on_result=on_result)
            finally:
                self._busy = False

    async def _repair(
        self,
        names: Sequence[str] | None,
        *,
        full: bool,
        cap: int | None,
        on_result: Callable[[RepairResult], None],
    ) -> tuple[RepairResult, ...]:
        read = self._context.database.read
        for file in read(self._checker.suspects):
            await self._finish(file)
        results = []
        for sick in read(lambda conn: self._cases.sick(conn, names, full=full)):
            key = (sick.file.file_id, sick.health.segment)
            if cap is not None and self._resting.get(key, 0) > self._context.now():
                continue
            result = await self._mend(sick, full=full, cap=cap)
            if result.ending not in {Ending.REPAIRED, Ending.NOT_NEEDED}:
                self._resting[key] = Timestamp(self._context.now() + PAUSE)
            on_result(result)
            results.append(result)
        return tuple(results)

    async def _finish(self, file: FileRecord) -> None:
        """Go on with what a killed repair left: shards that farmers have signed for take their places."""

        def work(conn: Connection) -> None:
            shards = load_shards(conn, file.file_id)
            begun = [shard.agreement_id for shard in shards if shard.state is ShardState.PROPOSED]
            set_shard_state(conn, begun, ShardState.DELETING)
            succeed(conn, self._context.keys.master, file.file_id, self._checker.known(conn))

        shards = self._context.database.read(lambda conn: load_shards(conn, file.file_id))
        if any(shard.state in {ShardState.PROPOSED, ShardState.REBUILT} for shard in shards):
            await self._context.database.write(work)

    async def _mend(self, sick: Sick, *, full: bool, cap: int | None) -> RepairResult:
        case = await asyncio.to_thread(self._cases.look, sick, full=full)
        if case is None:
            return RepairResult(sick.file.name, sick.health.segment, Ending.NOT_NEEDED)
        spare, faults = await self._suppliers.find(case.holders)
        wanted = case.health.missing[: len(spare)]
        if not wanted:
            return _result(case, Ending.NO_FARMER, faults=faults)
        reserved = await self._reserve(case.bytes(len(wanted)), cap)
        if isinstance(reserved, Ending):
            return _result(case, reserved)
        result = await self._rebuild(case, wanted, deque(spare), full=full)
        await self._context.database.write(lambda conn: settle_traffic(conn, reserved, result.bytes))
        return result

    async def _rebuild(
        self,
        case: Case,
        wanted: Sequence[int],
        spare: "deque[Supplier]",
        *,
        full: bool,
    ) -> RepairResult:
        """Read k shards, make the wanted ones, bring them to farmers."""
        moved = _Moved()
        reads = Reads(self._context, self._accounts)
        downloader = Downloader(
            self._context, self._accounts, reads, self._pace, name=case.file.name, received=moved
        )
        part = Part(case.health.segment, 0, case.segment.plaintext_length)
        window = Window(case.segment, part, Memory())
        try:
            await downloader.fetch(window, case.candidates)
        except FileUnavailable:
            return _read(case, Ending.UNREADABLE, moved, downloader)
        sealed = await asyncio.to_thread(_make, case, window, wanted)
        await reads.booked()
        del window
        uploader = Uploader(self._context, self._peers, self._accounts, Crew([], 0))
        job = Job(
            file_id=case.file.file_id,
            name=case.file.name,
            codec=Codec(case.segment.k, case.segment.n),
            seconds=self._cases.seconds(case.file),
            sent=moved,
            state=ShardState.REBUILT,
        )
        slots = asyncio.Semaphore(AT_ONCE)

        async def place(index: int) -> tuple[Fault, ...]:
            async with slots:
                return await self._place(uploader, job, sealed, index, spare, full=full)

        faults = await all_of(place(index) for index in wanted)
        succession = await self._succeed(case.file)
        rebuilt = len(succession.taken)
        needed = self._cases.wanted(case.file.file_id, case.health.segment, None, full=full)
        ending = Ending.REPAIRED if rebuilt else Ending.NOT_NEEDED
        if needed:
            ending = Ending.PARTLY if rebuilt else Ending.NO_FARMER
        result = _read(case, ending, moved, downloader)
        told = (*result.faults, *(one for many in faults for one in many))
        return replace(result, rebuilt=rebuilt, faults=told)

    async def _place(
        self,
        uploader: Uploader,
        job: Job,
        sealed: Sealed,
        index: int,
        spare: "deque[Supplier]",
        *,
        full: bool,
    ) -> tuple[Fault, ...]:
        """Bring one shard to the first farmer that takes it, unless it is not needed any more."""
        faults: list[Fault] = []
        while spare and self._cases.wanted(job.file_id, sealed.number, index, full=full):
            supplier = spare.popleft()
            try:
                await uploader.hand_over(job, sealed, index, supplier)
            except (NodeError, PaymentError) as error:
                faults.append(to_fault(supplier.farmer, error))
            else:
                break
        return tuple(faults)

    async def _succeed(self, file: FileRecord) -> Succession:
        """Let the new shards take their places, for all to see."""
        master = self._context.keys.master
        return await self._context.database.write(
            lambda conn: succeed(conn, master, file.file_id, self._checker.known(conn))
        )

    async def _reserve(self, count: int, cap: int | None) -> Ending | int:
        """Note the bytes that are about to be moved; why not, where the cap does not allow it."""
        if cap is not None and count > cap:
            return Ending.CAP_TOO_SMALL
        now = self._context.now()

        def work(conn: Connection) -> Ending | int:
            if cap is not None and sum_traffic(conn, Timestamp(now - DAY)) + count > cap:
                return Ending.CAPPED
            return reserve_traffic(conn, count, now)

        return await self._context.database.write(work)


def _make(case: Case, window: Window, wanted: Sequence[int]) -> Sealed:
    """Compute the shards that are wanted."""
    segment = case.segment
    made = Codec(segment.k, segment.n).rebuild(window.shards(), wanted)
    shards = dict(zip(wanted, made, strict=True))
    return Sealed(case.health.segment, segment.id, segment.wrapped_key, segment.plaintext_length, shards)


def _result(case: Case, ending: Ending, **found: Any) -> RepairResult:  # noqa: ANN401 - the result's fields
    return RepairResult(case.file.name, case.health.segment, ending, **found)


def _read(case: Case, ending: Ending, moved: _Moved, downloader: Downloader) -> RepairResult:
    """Tell how a repair ended for which shards were read."""
    faults, paid = tuple(downloader.faults), Amount(downloader.reads.paid)
    return _result(case, ending, bytes=moved.bytes, paid=paid, faults=faults)
