"""One segment on its way to its farmers: every shard masked, agreed on, sent, and signed for.

Agreements are written down before they leave, many in one transaction. Shards go out concurrently, a bounded
number at a time. They are masked where they lie; only one that goes to another farmer after all is copied.
A shard that is late goes to a spare farmer too, and whoever signs first has it: see node.renter.lateness.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from node.cipher import Mask
from node.db import Connection
from node.db.renter_segments import SegmentRecord, insert_segment
from node.db.renter_shards import countersign_shards, insert_shards, propose_shard
from node.errors import NodeError
from node.manifest import Segment, Shard
from node.merkle import build_tree
from node.renter.accounts import Accounts, share_prepaid_among
from node.renter.context import Context
from node.renter.courier import Courier, Job, Parcel, Place, Signed
from node.renter.crew import Crew, Supplier
from node.renter.errors import PutFailed
from node.renter.faults import to_fault
from node.renter.lateness import Lateness
from node.renter.peers import Peers
from node.renter.reports import Fault, Trouble
from node.renter.sealing import Sealed
from node.tasks import all_of, end, first_of
from payments.errors import PaymentError
from payments.types import NodeId, Timestamp

AT_ONCE: Final = 32
"""Shards under way at the same time."""
WAVE: Final = 16
"""Shards whose agreements are written down in one transaction."""


@dataclass(frozen=True, slots=True)
class Racer:
    """A shard as it is masked, and the farmer that it goes to now."""

    parcel: Parcel
    supplier: Supplier


class Uploader:
    """Brings the shards of segments to a crew; farmers that fail are replaced and told in `faults`."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts, crew: Crew) -> None:
        self._context = context
        self._peers = peers
        self._courier = Courier(context, peers, accounts)
        self._crew = crew
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.faults: list[Fault] = []

    @property
    def dropped(self) -> bool:
        """Whether agreements were given up on the way, of which farmers are to be told."""
        return self._courier.dropped

    async def upload(self, job: Job, sealed: Sealed) -> Segment:
        """Place all n shards; what the manifest says of the segment. Raises PutFailed."""
        count = len(sealed.shards)
        lateness = Lateness(count)
        tasks: list[asyncio.Task[Signed]] = []
        try:
            for start in range(0, count, WAVE):
                wave = await self._begin(job, sealed, range(start, min(start + WAVE, count)))
                tasks += [asyncio.create_task(self._place(job, sealed, parcel, lateness)) for parcel in wave]
            signed = await all_of(tasks)
        finally:
            await end(tasks)
        await self._book(job, signed, sealed)
        return Segment(
            id=sealed.id,
            wrapped_key=sealed.wrapped_key,
            plaintext_length=sealed.length,
            k=job.codec.k,
            n=job.codec.n,
            shards=tuple(one.shard for one in signed),
        )

    async def hand_over(self, job: Job, sealed: Sealed, index: int, supplier: Supplier) -> Shard:
        """Agree with one farmer on one shard and send it a copy. Raises NodeError, PaymentError."""
        signed = await self._redirect(job, sealed, index, None, supplier)
        await self._book(job, [signed])
        return signed.shard

    async def _begin(self, job: Job, sealed: Sealed, indices: Sequence[int]) -> list[Parcel]:
        """Mask shards where they lie, and write their agreements down in one transaction."""
        suppliers = await all_of(self._able(job, sealed, index) for index in indices)
        masks = [self._mask(sealed, index, one.farmer) for index, one in zip(indices, suppliers, strict=True)]
        shards = [sealed.shards[index] for index in indices]
        roots = await asyncio.to_thread(_mask_all, masks, shards)
        parcels = [
            await self._courier.wrap(job, Place(sealed.number, index, supplier), shard, root)
            for index, supplier, shard, root in zip(indices, suppliers, shards, roots, strict=True)
        ]
        records = [parcel.record for parcel in parcels]
        await self._context.database.write(lambda conn: insert_shards(conn, records))
        return parcels

    async def _able(self, job: Job, sealed: Sealed, index: int) -> Supplier:
        """Return the member for this index once its quote is good; one that gives none is replaced."""
        while True:
            supplier = self._crew.members[index]
            try:
                await supplier.quote(self._peers, self._context.now())
            except (NodeError, PaymentError) as error:
                self._replace(job, sealed, index, supplier, error)
            else:
                return supplier

    def _replace(
        self, job: Job, sealed: Sealed, index: int, failed: Supplier, error: NodeError | PaymentError
    ) -> Supplier:
        """Tell of a farmer that failed, and return the one in its place. Raises PutFailed."""
        self.faults.append(to_fault(failed.farmer, error))
        self._peers.doubt(failed.farmer)
        if not self._crew.replace(index, failed):
            raise PutFailed(job.name, sealed.number, tuple(self.faults))
        return self._crew.members[index]

    async def _place(self, job: Job, sealed: Sealed, parcel: Parcel, lateness: Lateness) -> Signed:
        """Bring one shard to its farmer, or to those that take its place. Raises PutFailed."""
        async with self._slots:
            clock = asyncio.get_running_loop().time
            begun, supplier, attempt = clock(), parcel.supplier, self._courier.send(job, parcel)
            while True:
                try:
                    signed = await self._race(job, sealed, Racer(parcel, supplier), attempt, lateness)
                except (NodeError, PaymentError) as error:
                    supplier = self._replace(job, sealed, parcel.index, supplier, error)
                    attempt = self._redirect(job, sealed, parcel.index, parcel, supplier)
                else:
                    lateness.arrived(clock() - begun)
                    return signed

    async def _race(
        self, job: Job, sealed: Sealed, racer: Racer, attempt: Coroutine[Any, Any, Signed], lateness: Lateness
    ) -> Signed:
        """Let a farmer have a shard, and another one too when it is late; who signs first keeps it."""
        index = racer.parcel.index
        attempts = [asyncio.create_task(attempt)]
        late = asyncio.create_task(lateness.late(asyncio.get_running_loop().time()))
        challenger = signed = None
        try:
            await asyncio.wait((attempts[0], late), return_when=asyncio.FIRST_COMPLETED)
            if not attempts[0].done() and (challenger := self._crew.challenge(index, racer.supplier)):
                second = self._redirect(job, sealed, index, racer.parcel, challenger)
                attempts.append(asyncio.create_task(second))
            signed = await first_of(attempts)
        finally:
            await end((late, *attempts))
            if challenger is not None:
                won = signed is not None and signed.record.agreement.farmer == challenger.farmer
                self._crew.end_race(index, challenger, won=won)
        if challenger is not None:
            await self._decide(signed, racer, challenger, attempts)
        return signed

    async def _decide(
        self, signed: Signed, racer: Racer, challenger: Supplier, attempts: Sequence["asyncio.Task[Signed]"]
    ) -> None:
        """Say who was too slow, and give up what else was signed."""
        if signed.record.agreement.farmer == challenger.farmer:
            self._peers.note_slow(racer.supplier.farmer)
            self.faults.append(
                Fault(racer.supplier.farmer, Trouble.TIMED_OUT, "it was much slower than the others")
            )
        for attempt in attempts:
            if not attempt.cancelled() and attempt.exception() is None and attempt.result() is not signed:
                await self._courier.drop(attempt.result().record)

    async def _redirect(
        self, job: Job, sealed: Sealed, index: int, masked: Parcel | None, supplier: Supplier
    ) -> Signed:
        """Bring a copy of a shard, which may be masked for another farmer, to this one."""
        before = self._mask(sealed, index, masked.supplier.farmer) if masked else None
        mask = self._mask(sealed, index, supplier.farmer)
        shard, root = await asyncio.to_thread(_copy, sealed.shards[index], before, mask)
        parcel = await self._courier.wrap(job, Place(sealed.number, index, supplier), shard, root)
        await self._context.database.write(lambda conn: propose_shard(conn, parcel.record))
        return await self._courier.send(job, parcel)

    async def _book(self, job: Job, signed: Sequence[Signed], sealed: Sealed | None = None) -> None:
        """Keep the countersignatures; with the segment that they make whole, if they do."""
        now = self._context.now()

        def work(conn: Connection) -> None:
            share_prepaid_among(conn, [one.record for one in signed], now)
            signatures = {one.record.agreement_id: one.signature for one in signed}
            countersign_shards(conn, signatures, job.state)
            if sealed is not None:
                insert_segment(conn, _segment_record(job, sealed, now))

        await self._context.database.write(work)

    def _mask(self, sealed: Sealed, index: int, farmer: NodeId) -> Mask:
        return Mask(self._context.keys.master.mask_key, sealed.id, index, farmer)


def _segment_record(job: Job, sealed: Sealed, now: Timestamp) -> SegmentRecord:
    return SegmentRecord(
        file_id=job.file_id,
        number=sealed.number,
        id=sealed.id,
        wrapped_key=sealed.wrapped_key,
        length=sealed.length,
        prefix=sealed.prefix,
        stored_at=now,
    )


def _mask_all(masks: Sequence[Mask], shards: Sequence[memoryview]) -> list[bytes]:
    """Mask shards in place; their data roots."""
    return [build_tree(mask.apply(shard, into=shard)).root for mask, shard in zip(masks, shards, strict=True)]


def _copy(shard: memoryview, before: Mask | None, mask: Mask) -> tuple[memoryview, bytes]:
    """Copy a shard, unmasked if it was masked `before`, and masked anew; with its data root."""
    copy = memoryview(bytearray(shard))
    if before is not None:
        before.apply(copy, into=copy)
    mask.apply(copy, into=copy)
    return copy, build_tree(copy).root
