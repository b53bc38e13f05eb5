"""Audits: on request, file by file, and on schedule, interval by interval.

On schedule each agreement is audited once in each of its intervals. On request at once, whatever the
calendar says; that counts for the interval that runs. An audit that is open (the farmer did not answer,
its window has not closed) is gone on with first, in both ways and after a restart.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from node.audit import try_times
from node.db import Connection
from node.db.renter_audits import AuditRecord, load_open_audits
from node.db.renter_files import FileState, load_file, load_file_names
from node.db.renter_purses import load_purse
from node.db.renter_shards import ShardRecord, load_audited_shards, load_shard
from node.renter.batches import Subject
from node.renter.context import Context
from node.renter.errors import UnknownFile
from node.renter.examined import Examined
from node.renter.examiner import Examiner
from node.renter.payments import Payments
from node.renter.reports import AuditReport
from node.renter.schedule import Duty, due, next_due
from node.tasks import all_of
from payments.types import NodeId, Timestamp

AT_ONCE = 64
"""Farmers that are audited at the same time."""


@dataclass(frozen=True, slots=True)
class _Open:
    """An audit that waits for its answer, with the farmer and the shards it is about."""

    audit: AuditRecord
    farmer: NodeId
    subjects: tuple[Subject, ...]

    @property
    def next_at(self) -> Timestamp:
        """When to send it again, or to give it up."""
        window, tries = self.audit.window, self.audit.tries
        last = max((attempt.at for attempt in tries), default=-1)
        times = (*try_times(window), window.closes_at)
        return Timestamp(next((time for time in times if time > last), last))


class Audits:
    """Audits what is stored."""

    def __init__(self, context: Context, examiner: Examiner, payments: Payments) -> None:
        self._context = context
        self._examiner = examiner
        self._payments = payments
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def audit(self, names: Iterable[str] | None = None, *, rounds: int = 1) -> AuditReport:
        """Audit these files, or all, at once and `rounds` times over, and pay what that earned.

        A farmer that does not answer is reported by what it looks like so far (`decided` is False); its
        challenge stays open and is sent again by the next round or by `rent run`. Raises UnknownFile.
        """
        wanted = None if names is None else list(names)
        examined = Examined()
        for _ in range(rounds):
            examined += await self._round(wanted)
        farmers = {result.farmer for result in examined.results}
        payments = await self._payments.pay_outstanding(farmers)
        return AuditReport(examined.results, examined.faults, payments)

    async def audit_due(self) -> Examined:
        """Audit what the calendar says, and go on with open audits whose time has come."""
        now = self._context.now()
        shards, names, waiting = self._context.database.read(lambda conn: self._look(conn, now))
        groups = due(map(_duty, shards), now)
        subjects = {shard.agreement_id: _subject(shard, names, now) for shard in shards}
        busy = {one.farmer for one in waiting if one.next_at > now}
        work = [self._resume(one) for one in waiting if one.next_at <= now]
        work += [
            self._examine(farmer, [subjects[duty.agreement] for duty in duties])
            for farmer, duties in groups.items()
            if farmer not in busy
        ]
        return reduce(add, await all_of(work), Examined())

    def next_at(self) -> Timestamp | None:
        """When the calendar, or an open audit, wants attention next; None if there is nothing to wait for."""
        now = self._context.now()
        shards, _, waiting = self._context.database.read(lambda conn: self._look(conn, now))
        busy = {one.farmer for one in waiting}
        free = [_duty(shard) for shard in shards if shard.agreement.farmer not in busy]
        times = [one.next_at for one in waiting]
        calendar = next_due(free, now)
        return min((*times, *(() if calendar is None else (calendar,))), default=None)

    async def _round(self, names: Sequence[str] | None) -> Examined:
        now = self._context.now()
        shards, files, waiting = self._context.database.read(lambda conn: self._look(conn, now))
        chosen = None if names is None else self._file_ids(names)
        by_farmer: defaultdict[NodeId, list[Subject]] = defaultdict(list)
        held = {one.farmer: one for one in waiting}
        for shard in shards:
            if chosen is None or shard.file_id in chosen:
                by_farmer[shard.agreement.farmer].append(_subject(shard, files, now))
        work = [
            self._go_on(held[farmer], subjects) if farmer in held else self._examine(farmer, subjects)
            for farmer, subjects in by_farmer.items()
        ]
        return reduce(add, await all_of(work), Examined())

    async def _go_on(self, waiting: _Open, subjects: Sequence[Subject]) -> Examined:
        """Send an open challenge again first; what it was not about is asked for when it is decided."""
        first = await self._resume(waiting)
        if not first.results:  # another program of this renter had it decided meanwhile
            return await self._examine(waiting.farmer, subjects)
        asked = {subject.shard.agreement_id for subject in waiting.subjects}
        rest = [subject for subject in subjects if subject.shard.agreement_id not in asked]
        if not rest or any(not result.decided for result in first.results):
            return first
        return first + await self._examine(waiting.farmer, rest)

    async def _examine(self, farmer: NodeId, subjects: Sequence[Subject]) -> Examined:
        async with self._slots:
            return await self._examiner.examine(farmer, subjects)

    async def _resume(self, waiting: _Open) -> Examined:
        async with self._slots:
            return await self._examiner.resume(waiting.audit, waiting.subjects)

    def _look(
        self, conn: Connection, now: Timestamp
    ) -> tuple[tuple[ShardRecord, ...], dict[bytes, str], list[_Open]]:
        """Read the shards to be audited, the names of files, the open audits."""
        names = load_file_names(conn)
        waiting = []
        for audit in load_open_audits(conn):
            purse = load_purse(conn, audit.channel_id)
            found = (load_shard(conn, item.agreement) for item in audit.challenge.items)
            subjects = tuple(_subject(shard, names, now) for shard in found if shard is not None)
            if purse is not None:
                waiting.append(_Open(audit, purse.farmer, subjects))
        return load_audited_shards(conn, now), names, waiting

    def _file_ids(self, names: Sequence[str]) -> set[bytes]:
        def work(conn: Connection) -> set[bytes]:
            found = set()
            for name in names:
                file = load_file(conn, name, FileState.STORED)
                if file is None:
                    raise UnknownFile(name)
                found.add(file.file_id)
            return found

        return self._context.database.read(work)


def _duty(shard: ShardRecord) -> Duty:
    terms = shard.agreement
    return Duty(
        agreement=shard.agreement_id,
        farmer=terms.farmer,
        start=terms.start,
        end=terms.end,
        interval=terms.audit_interval,
        audited=shard.audited,
    )


def _subject(shard: ShardRecord, names: dict[bytes, str], now: Timestamp) -> Subject:
    return Subject(shard, names.get(shard.file_id, ""), _duty(shard).interval_at(now))
