"""Renewals: before its end, an agreement about a file that is to be kept is followed by another one.

The farmer has the shard, and masked for it, so the same root is proposed again and nothing is sent. It signs
once it has read its own copy through. One that does not, or asks for much more than before, is left, and its
shard goes to another farmer before the end (node.renter.repair).
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.agreement import Agreement, verify_farmer
from node.db import Connection
from node.db.renter_repairs import load_keeps
from node.db.renter_shards import (
    ShardRecord,
    ShardState,
    countersign_shards,
    load_shards,
    propose_shard,
    set_shard_state,
)
from node.errors import NodeError
from node.messages import AgreementState, AgreementView
from node.renter.accounts import Accounts, share_prepaid
from node.renter.checker import Checker
from node.renter.context import Context
from node.renter.courier import sign_terms, to_proposal
from node.renter.crew import Supplier
from node.renter.faults import to_fault
from node.renter.health import Known, to_be_renewed
from node.renter.peers import Peers
from node.renter.reports import Fault, Trouble
from node.renter.succession import succeed
from node.renter.suppliers import Suppliers
from node.renter.terms import agreement_terms, time_wanted
from node.tasks import all_of
from payments.errors import PaymentError
from payments.prices import step_rate
from payments.types import NodeId

DEARER: Final = 2
"""A farmer that asks for more than this many times as much as before is left."""
PAUSE: Final = 3_600
"""Seconds until a farmer that did not agree is asked again."""
AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Renewed:
    """What one look came to: agreements that run longer now, farmers that did not agree."""

    count: int = 0
    faults: tuple[Fault, ...] = ()


class NotRenewed(Exception):
    """A farmer's terms are not agreed to, or ours by it."""


class Renewals:
    """Renews agreements."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts, checker: Checker) -> None:
        self._context = context
        self._accounts = accounts
        self._checker = checker
        self._peers = peers
        self.suppliers = Suppliers(context, peers, accounts)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._resting: dict[NodeId, int] = {}

    async def renew(self) -> Renewed:
        """Renew what is due. Raises WrongMasterKey, StorageError."""
        shards = self._context.database.read(self._due)
        by_farmer: defaultdict[NodeId, list[ShardRecord]] = defaultdict(list)
        for shard in shards:
            if self._resting.get(shard.agreement.farmer, 0) <= self._context.now():
                by_farmer[shard.agreement.farmer].append(shard)
        faults = await all_of(self._visit(farmer, its) for farmer, its in by_farmer.items())
        renewed = 0
        for file_id in {shard.file_id for shard in shards}:
            renewed += await self._succeed(file_id)
        return Renewed(renewed, tuple(fault for fault in faults if fault is not None))

    def _due(self, conn: Connection) -> list[ShardRecord]:
        known: Known = self._checker.known(conn)
        return [
            shard
            for file in self._checker.suspects(conn)
            for shard in load_shards(conn, file.file_id)
            if shard.stored and to_be_renewed(shard, known)
        ]

    async def _visit(self, farmer: NodeId, shards: Sequence[ShardRecord]) -> Fault | None:
        """Propose all of one farmer's shards anew, until something is wrong."""
        async with self._slots:
            fault = await self._propose_all(farmer, shards)
        if fault is not None:
            self._resting[farmer] = self._context.now() + PAUSE
        return fault

    async def _propose_all(self, farmer: NodeId, shards: Sequence[ShardRecord]) -> Fault | None:
        try:
            supplier = await self.suppliers.of(farmer)
            if isinstance(supplier, Fault):
                return supplier
            for shard in shards:
                await self._renew(supplier, shard)
        except (NodeError, PaymentError) as error:
            return to_fault(farmer, error)
        except NotRenewed as refusal:
            return Fault(farmer, Trouble.REFUSED, str(refusal))
        return None

    async def _renew(self, supplier: Supplier, shard: ShardRecord) -> None:
        """Propose one shard's root again; what the farmer signs is on disk when this returns."""
        context, before, now = self._context, shard.agreement, self._context.now()
        keeps = context.database.read(load_keeps)
        terms = agreement_terms(
            await supplier.quote(self._peers, now),
            context.node,
            now,
            time_wanted(keeps.get(shard.file_id), now),
            shard_length=before.shard_length,
            data_root=before.data_root,
        )
        _check_price(before, terms)
        record = sign_terms(context, terms, shard.file_id, shard.segment, shard.index)
        await context.database.write(lambda conn: propose_shard(conn, record))
        signature = None
        try:
            signature = await self._propose(record)
        finally:
            await context.database.write(lambda conn: self._note(conn, record, signature))

    async def _propose(self, record: ShardRecord) -> bytes:
        """Return the farmer's signature. Raises NotRenewed where it wants the shard sent."""
        terms = record.agreement
        target, message = self._accounts.target(terms.farmer), to_proposal(record)
        view = await self._context.transport.post(target, "/v1/agreements", message, AgreementView)
        if view.state is not AgreementState.STORED or view.farmer_signature is None:
            raise NotRenewed("it does not find the shard that it keeps, and wants it sent")
        verify_farmer(self._context.domain, terms, view.farmer_signature)
        return view.farmer_signature

    def _note(self, conn: Connection, record: ShardRecord, signature: bytes | None) -> None:
        if signature is None:
            set_shard_state(conn, [record.agreement_id], ShardState.DELETING)
        else:
            share_prepaid(conn, record, self._context.now())
            countersign_shards(conn, {record.agreement_id: signature}, ShardState.REBUILT)

    async def _succeed(self, file_id: bytes) -> int:
        master = self._context.keys.master
        succession = await self._context.database.write(
            lambda conn: succeed(conn, master, file_id, self._checker.known(conn))
        )
        return len(succession.taken)


def _check_price(before: Agreement, after: Agreement) -> None:
    """Raise NotRenewed where a farmer asks for much more than before."""
    old, new = (step_rate(one.step, one.audit_interval) for one in (before, after))
    if new > DEARER * old:
        raise NotRenewed(f"it asks {new} base units a month for what cost {old}")
    old, new = before.download_price, after.download_price
    if new > DEARER * old:
        raise NotRenewed(f"it asks {new} base units for a GB read that cost {old}")
