"""One segment on its way to its farmers: encrypted, encoded, and every shard masked, agreed on and sent.

An agreement is written down before it leaves; the farmer's countersignature comes back once it has the
shard, has computed the same root and has it on disk. Shards go out concurrently, a bounded number at a
time, and each is masked only then: memory is that of the segment, its parity and the shards under way.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from node.agreement import Agreement, agreement_id, sign_agreement, verify_farmer
from node.cipher import KEY_SIZE, SEGMENT_ID_SIZE, Mask, encrypt_segment, plaintext_length
from node.db import Connection
from node.db.renter_shards import ShardRecord, ShardState, countersign_shard, propose_shard, set_shard_state
from node.erasure import Codec
from node.errors import NodeError
from node.manifest import Segment, Shard
from node.master_key import NONCE_SIZE
from node.merkle import Tree, build_tree
from node.messages import AgreementMessage, AgreementState, AgreementView, ProposeAgreement
from node.renter.accounts import Accounts, agreement_path, share_prepaid
from node.renter.channels import FORGOTTEN
from node.renter.context import Context
from node.renter.crew import Crew, Supplier
from node.renter.errors import PutFailed
from node.renter.faults import to_fault
from node.renter.peers import Peers
from node.renter.reports import Fault
from node.renter.terms import agreement_terms
from node.tasks import all_of
from node.transport import PeerBrokeRules, PeerRefused
from payments.errors import PaymentError
from payments.types import Seconds

AT_ONCE: Final = 32
"""Shards under way at the same time."""
STALE_TERMS: Final = frozenset({"QUOTE_EXPIRED", "PRICE_TOO_LOW", "TERM_DIFFERS"})
"""Refusals by a farmer whose prices have changed since its quote."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all shards share: the file, the code, for how long, and who wants to hear of progress.

    state: what a shard becomes that its farmer has signed for.
    """

    file_id: bytes
    name: str
    codec: Codec
    seconds: Seconds
    sent: Callable[[int], None]
    state: ShardState = ShardState.STORED


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted segment: its id, wrapped key, plaintext length and its shards by index, unmasked."""

    number: int
    id: bytes
    wrapped_key: bytes
    length: int
    shards: Sequence[memoryview] | Mapping[int, memoryview]


class Sealer:
    """Encrypts and encodes one segment after another, in the same memory."""

    def __init__(self, context: Context, codec: Codec) -> None:
        self._master = context.keys.master
        self._codec = codec
        self._ciphertext = bytearray()
        self._parity = bytearray()

    async def seal(self, number: int, segments: Iterator[Iterator[bytes]]) -> Sealed | None:
        """Seal the next segment of a file, off the event loop; None after the last. Raises OSError."""
        return await asyncio.to_thread(self._seal, number, segments)

    def _seal(self, number: int, segments: Iterator[Iterator[bytes]]) -> Sealed | None:
        chunks = next(segments, None)
        if chunks is None:
            return None
        key, segment = os.urandom(KEY_SIZE), os.urandom(SEGMENT_ID_SIZE)
        sealed = encrypt_segment(key, segment, chunks, self._ciphertext)
        length = plaintext_length(len(sealed))
        wrapped = self._master.wrap(segment, key, os.urandom(NONCE_SIZE))
        return Sealed(number, segment, wrapped, length, self._codec.encode(sealed, self._parity))


class Uploader:
    """Brings the shards of a segment to a crew; farmers that fail are replaced and told in `faults`."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts, crew: Crew) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts
        self._crew = crew
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.faults: list[Fault] = []

    async def upload(self, job: Job, sealed: Sealed) -> Segment:
        """Place all n shards; what the manifest says of the segment. Raises PutFailed."""
        shards = await all_of(self._place(job, sealed, index) for index in range(len(sealed.shards)))
        return Segment(
            id=sealed.id,
            wrapped_key=sealed.wrapped_key,
            plaintext_length=sealed.length,
            k=job.codec.k,
            n=job.codec.n,
            shards=shards,
        )

    async def _place(self, job: Job, sealed: Sealed, index: int) -> Shard:
        """Find a farmer for one shard."""
        async with self._slots:
            while True:
                supplier = self._crew.members[index]
                try:
                    return await self.hand_over(job, sealed, index, supplier)
                except (NodeError, PaymentError) as error:
                    self.faults.append(to_fault(supplier.farmer, error))
                if not self._crew.replace(index, supplier):
                    raise PutFailed(job.name, sealed.number, tuple(self.faults))

    async def hand_over(self, job: Job, sealed: Sealed, index: int, supplier: Supplier) -> Shard:
        """Agree with one farmer on one shard and send it. Raises NodeError, PaymentError."""
        mask = Mask(self._context.keys.master.mask_key, sealed.id, index, supplier.farmer)
        shard, tree = await asyncio.to_thread(_mask, mask, sealed.shards[index])
        for last in (False, True):
            terms = await self._terms(supplier, job.seconds, len(shard), tree)
            try:
                return await self._agree(job, sealed, index, terms, shard)
            except PeerRefused as refusal:
                if last or not await self._mend(supplier, refusal):
                    raise
        raise AssertionError

    async def _mend(self, supplier: Supplier, refusal: PeerRefused) -> bool:
        """Remove what a farmer objects to; tell whether to try again."""
        if refusal.error in STALE_TERMS:
            await supplier.renew(self._peers)
            return True
        if refusal.error in FORGOTTEN:
            return await self._accounts.mend(supplier.account, refusal)
        return False

    async def _terms(self, supplier: Supplier, wanted: Seconds, length: int, tree: Tree) -> Agreement:
        now = self._context.now()
        quote = await supplier.quote(self._peers, now)
        return agreement_terms(
            quote, self._context.node, now, wanted, shard_length=length, data_root=tree.root
        )

    async def _agree(
        self, job: Job, sealed: Sealed, index: int, terms: Agreement, shard: memoryview
    ) -> Shard:
        """Write the agreement down, propose it, send the shard, keep the countersignature."""
        context = self._context
        name = agreement_id(context.domain, terms)
        signature = sign_agreement(context.domain, terms, context.keys.signer)
        record = ShardRecord(
            agreement_id=name,
            file_id=job.file_id,
            segment=sealed.number,
            index=index,
            state=ShardState.PROPOSED,
            agreement=terms,
            renter_signature=signature,
            paid_until=terms.start,
        )
        await context.database.write(lambda conn: propose_shard(conn, record))
        try:
            countersigned = await self._send(job, record, shard)
        except BaseException:
            await context.database.write(lambda conn: set_shard_state(conn, [name], ShardState.DELETING))
            raise

        def work(conn: Connection) -> None:
            share_prepaid(conn, record, context.now())
            countersign_shard(conn, name, countersigned, job.state)

        await context.database.write(work)
        return Shard(index=index, farmer=terms.farmer, agreement=name, data_root=terms.data_root)

    async def _send(self, job: Job, record: ShardRecord, shard: memoryview) -> bytes:
        """Propose and upload; the farmer's signature, verified."""
        terms, name = record.agreement, record.agreement_id
        target = self._accounts.target(terms.farmer)
        transport = self._context.transport
        message = ProposeAgreement(
            agreement=AgreementMessage.of(terms), renter_signature=record.renter_signature
        )
        view = await transport.post(target, "/v1/agreements", message, AgreementView)
        if view.agreement_id != name:
            raise PeerBrokeRules(terms.farmer, "it names another agreement than was proposed")
        if view.state is not AgreementState.STORED:
            view = await transport.upload(
                target,
                agreement_path(name, "shard"),
                shard,
                data_root=terms.data_root,
                answer=AgreementView,
                progress=job.sent,
            )
        if view.state is not AgreementState.STORED or view.farmer_signature is None:
            raise PeerBrokeRules(terms.farmer, "it took the shard and did not sign for it")
        verify_farmer(self._context.domain, terms, view.farmer_signature)
        return view.farmer_signature


def _mask(mask: Mask, shard: memoryview) -> tuple[memoryview, Tree]:
    masked = mask.apply(shard)
    return masked, build_tree(masked)
