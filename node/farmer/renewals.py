"""Renewals: a shard that is kept already under another agreement of its renter need not be sent again.

The farmer reads its own copy as it would read an upload, so that it signs for nothing that it does not have;
the copy is the new agreement's, whatever becomes of the old one.
"""

import logging
from collections.abc import AsyncIterator

from node.agreement import Agreement, agreement_id
from node.db import Connection
from node.db.farmer_agreements import FarmerAgreement, list_same_shard
from node.errors import NodeError
from node.farmer import agreements
from node.farmer.farm import Farm
from node.farmer.offer import Offers
from node.messages import AgreementState, AgreementView
from payments.types import NodeId

log = logging.getLogger("tithebarn.farmer")


async def propose(
    farm: Farm, offers: Offers, node: NodeId, terms: Agreement, renter_signature: bytes
) -> AgreementView:
    """Accept terms; sign at once where the shard is here. Raises as `agreements.propose`."""
    proposed = await agreements.propose(farm, offers, node, terms, renter_signature)
    if proposed.state is not AgreementState.PROPOSED:
        return proposed
    held = farm.database.read(lambda conn: _held(conn, terms))
    if held is None:
        return proposed
    upload = agreements.Upload(agreement_id(farm.domain, terms), terms.shard_length, _pieces(farm, held))
    try:
        return await agreements.receive(farm, node, upload)
    except NodeError as fault:  # it is to be sent after all
        log.warning("renewal_failed code=%s agreement=%s", fault.code, held.id.hex())
        return proposed


def _held(conn: Connection, terms: Agreement) -> FarmerAgreement | None:
    """Find a stored shard of this renter with the same bytes."""
    found = list_same_shard(conn, terms.renter, terms.data_root)
    return found[0] if found and found[0].state is AgreementState.STORED else None


async def _pieces(farm: Farm, held: FarmerAgreement) -> AsyncIterator[bytes]:
    length = held.agreement.shard_length
    for offset in range(0, length, agreements.PIECE):
        part = min(agreements.PIECE, length - offset)
        yield await farm.run(farm.store.read, held.id, offset, part)
