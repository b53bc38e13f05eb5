"""Renewals: a shard that is kept already under another agreement of its renter need not be sent again.

The farmer reads what it has as it would read an upload, so that it signs for nothing that it does not have.
From then on both agreements share one file, which is there as long as one of them: a renewal takes no room.
Only where the filesystem shares nothing it is copied, if there is room for two.
"""

import logging
from collections.abc import AsyncIterator

from node.agreement import Agreement, agreement_id
from node.db import Connection
from node.db.farmer_agreements import FarmerAgreement, list_same_shard, load_agreement
from node.errors import NodeError
from node.farmer import agreements
from node.farmer.errors import AgreementNotFound, CapacityExceeded
from node.farmer.farm import Farm
from node.farmer.offer import Offers
from node.farmer.room import find_promised
from node.messages import AgreementState, AgreementView
from node.store_faults import StoreFault
from payments.types import NodeId

log = logging.getLogger("tithebarn.farmer")


async def propose(
    farm: Farm, offers: Offers, node: NodeId, terms: Agreement, renter_signature: bytes
) -> AgreementView:
    """Accept terms; sign at once where the shard is here. Raises as `agreements.propose`."""
    proposed = await agreements.propose(farm, offers, node, terms, renter_signature, shares=True)
    if proposed.state is not AgreementState.PROPOSED:
        return proposed
    held = farm.database.read(lambda conn: _held(conn, terms))
    if held is None:
        return proposed
    name = agreement_id(farm.domain, terms)
    try:
        return await _share(farm, name, held)
    except StoreFault as fault:
        log.warning("renewal_not_shared code=%s agreement=%s", fault.code, held.id.hex())
        await _find_second_room(farm, name, terms)
        upload = agreements.Upload(name, terms.shard_length, _pieces(farm, held))
        return await agreements.receive(farm, node, upload)
    except NodeError as fault:  # it is to be sent after all
        log.warning("renewal_failed code=%s agreement=%s", fault.code, held.id.hex())
        await _find_second_room(farm, name, terms)
        return proposed


async def _share(farm: Farm, name: bytes, held: FarmerAgreement) -> AgreementView:
    async with farm.lock(name):
        record = farm.database.read(lambda conn: load_agreement(conn, name))
        if record is None:
            raise AgreementNotFound(name)
        if record.state is AgreementState.PROPOSED:
            await farm.run(farm.store.share, held.id, name, held.agreement.data_root)
        return agreements.view(await agreements.countersign(farm, record))


async def _find_second_room(farm: Farm, name: bytes, terms: Agreement) -> None:
    """Have room for a copy, or forget the proposal, which was promised none. Raises CapacityExceeded."""
    try:
        farm.database.read(lambda conn: find_promised(conn, farm, terms.shard_length))
    except CapacityExceeded:
        record = farm.database.read(lambda conn: load_agreement(conn, name))
        if record is not None:
            await agreements.end(farm, record, AgreementState.EXPIRED)
        raise


def _held(conn: Connection, terms: Agreement) -> FarmerAgreement | None:
    """Find a stored shard of this renter with the same bytes."""
    found = list_same_shard(conn, terms.renter, terms.data_root)
    return found[0] if found and found[0].state is AgreementState.STORED else None


async def _pieces(farm: Farm, held: FarmerAgreement) -> AsyncIterator[bytes]:
    length = held.agreement.shard_length
    for offset in range(0, length, agreements.PIECE):
        part = min(agreements.PIECE, length - offset)
        yield await farm.run(farm.store.read, held.id, offset, part)
