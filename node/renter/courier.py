"""The courier: brings one shard to one farmer, and comes back with the farmer's signature.

The agreement is written down before it leaves. Proposal and shard are one request, whose bytes wait until the
farmer has accepted the terms; its signature comes once it has the shard, has computed the same root and has
it on disk. What does not come to that is to be deleted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from node.agreement import Agreement, agreement_id, sign_agreement, verify_farmer
from node.db.renter_shards import ShardRecord, ShardState, propose_shard, set_shard_state
from node.erasure import Codec
from node.manifest import Shard
from node.messages import AgreementMessage, AgreementState, AgreementView, ProposeAgreement
from node.renter.accounts import ARREARS, Accounts, agreement_path
from node.renter.channels import FORGOTTEN
from node.renter.context import Context
from node.renter.crew import Supplier
from node.renter.peers import Peers
from node.renter.terms import agreement_terms
from node.transport import PeerBrokeRules, PeerRefused
from payments.types import Seconds

STALE_TERMS: Final = frozenset({"QUOTE_EXPIRED", "PRICE_TOO_LOW", "TERM_DIFFERS"})
"""Refusals by a farmer whose prices have changed since its quote."""
MENDS: Final = 2
"""Of what a farmer objects to: it may be owed for proven work, and then for time besides."""


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
class Place:
    """Which shard of which segment a farmer is to have."""

    segment: int
    index: int
    supplier: Supplier


@dataclass(frozen=True, slots=True)
class Parcel:
    """A shard as one farmer gets it, and the agreement about it."""

    supplier: Supplier
    record: ShardRecord
    shard: memoryview

    @property
    def index(self) -> int:
        """Which shard of its segment it is."""
        return self.record.index


@dataclass(frozen=True, slots=True)
class Signed:
    """An agreement with the farmer's signature, which has been verified."""

    record: ShardRecord
    signature: bytes

    @property
    def shard(self) -> Shard:
        """What the manifest says of it."""
        terms, index = self.record.agreement, self.record.index
        return Shard(index, terms.farmer, self.record.agreement_id, terms.data_root)


def sign_terms(context: Context, terms: Agreement, file_id: bytes, segment: int, index: int) -> ShardRecord:
    """Sign an agreement about a shard; it is to be written down before it leaves. Raises AboveLimit."""
    context.limits.check_terms(terms)
    return ShardRecord(
        agreement_id=agreement_id(context.domain, terms),
        file_id=file_id,
        segment=segment,
        index=index,
        state=ShardState.PROPOSED,
        agreement=terms,
        renter_signature=sign_agreement(context.domain, terms, context.keys.signer),
        paid_until=terms.start,
    )


def to_proposal(record: ShardRecord) -> ProposeAgreement:
    """Say to a farmer what was signed."""
    return ProposeAgreement(
        agreement=AgreementMessage.of(record.agreement), renter_signature=record.renter_signature
    )


class Courier:
    """Goes to farmers. `dropped`: whether agreements were given up, of which farmers are to be told."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts
        self.dropped = False

    async def wrap(self, job: Job, place: Place, shard: memoryview, root: bytes) -> Parcel:
        """Sign the agreement about a masked shard. Raises as `Supplier.quote`."""
        context, supplier, now = self._context, place.supplier, self._context.now()
        quote = await supplier.quote(self._peers, now)
        terms = agreement_terms(
            quote, context.node, now, job.seconds, shard_length=len(shard), data_root=root
        )
        record = sign_terms(context, terms, job.file_id, place.segment, place.index)
        return Parcel(supplier, record, shard)

    async def send(self, job: Job, parcel: Parcel) -> Signed:
        """Send a shard whose agreement is written down; again on new terms while that helps."""
        for _ in range(MENDS):
            try:
                return await self._deliver(job, parcel)
            except PeerRefused as refusal:
                if not await self._mend(parcel.supplier, refusal):
                    raise
            place = Place(parcel.record.segment, parcel.index, parcel.supplier)
            parcel = await self.wrap(job, place, parcel.shard, parcel.record.agreement.data_root)
            await self._context.database.write(partial(propose_shard, shard=parcel.record))
        return await self._deliver(job, parcel)

    async def drop(self, record: ShardRecord) -> None:
        """Give an agreement up."""
        self.dropped = True
        name = record.agreement_id
        await self._context.database.write(lambda conn: set_shard_state(conn, [name], ShardState.DELETING))

    async def _mend(self, supplier: Supplier, refusal: PeerRefused) -> bool:
        """Remove what a farmer objects to; tell whether to try again."""
        if refusal.error in STALE_TERMS:
            await supplier.renew(self._peers)
            return True
        if refusal.error in FORGOTTEN:
            return await self._accounts.mend(supplier.account, refusal)
        if refusal.error == ARREARS:  # of what was removed: no audit asks for it any more
            async with self._context.locks.hold(supplier.account.channel.id):
                return await self._accounts.mend(supplier.account, refusal)
        return False

    async def _deliver(self, job: Job, parcel: Parcel) -> Signed:
        """Have a shard signed for. What does not come to that is to be deleted."""
        try:
            return Signed(parcel.record, await self._exchange(job, parcel))
        except BaseException:
            await self.drop(parcel.record)
            raise

    async def _exchange(self, job: Job, parcel: Parcel) -> bytes:
        """Propose and upload; the farmer's signature, verified."""
        record = parcel.record
        terms, name = record.agreement, record.agreement_id
        view = await self._context.transport.upload(
            self._accounts.target(terms.farmer),
            agreement_path(name, "shard"),
            parcel.shard,
            data_root=terms.data_root,
            answer=AgreementView,
            proposal=to_proposal(record),
            progress=job.sent,
        )
        if view.agreement_id != name:
            raise PeerBrokeRules(terms.farmer, "it names another agreement than was proposed")
        if view.state is not AgreementState.STORED or view.farmer_signature is None:
            raise PeerBrokeRules(terms.farmer, "it took the shard and did not sign for it")
        verify_farmer(self._context.domain, terms, view.farmer_signature)
        return view.farmer_signature
