"""Agreements that a farmer has signed and its books do not know: they are a copy, older than these.

Its own signature says that it once had the shard; the shard on the disk says that it still has. With both,
the agreement is in force again from now on, as if it had just been countersigned.
"""

import logging

from node.agreement import Agreement, agreement_id, verify_farmer
from node.db.farmer_agreements import FarmerAgreement, load_agreement
from node.errors import WrongFarmer
from node.farmer.agreements import check_signer, countersign, view
from node.farmer.contract_signers import find_agreeing
from node.farmer.errors import AgreementOver, WrongDataRoot, WrongRenter
from node.farmer.farm import Farm
from node.messages import AgreementState, AgreementView
from payments.types import NodeId

log = logging.getLogger("tithebarn.farmer")


async def take_back(
    farm: Farm, node: NodeId, terms: Agreement, renter_signature: bytes, farmer_signature: bytes
) -> AgreementView:
    """Put an agreement of ours into the books again. One that stands there stays as it is.

    Raises WrongRenter, BadAgreement, AgreementOver, NoChannel, ShardMissing, ShardDamaged, WrongDataRoot, and
    ChainError where a contract signs and cannot be asked.
    """
    if terms.renter != node:
        raise WrongRenter(terms.renter, node)
    if terms.farmer != farm.node:
        raise WrongFarmer(terms.farmer, farm.node)
    verify_farmer(farm.domain, terms, farmer_signature)
    name, now = agreement_id(farm.domain, terms), farm.now()
    known = farm.database.read(lambda conn: load_agreement(conn, name))
    if known is not None and known.state is AgreementState.STORED:
        return view(known)
    if known is not None and known.state is not AgreementState.PROPOSED:
        raise AgreementOver(name, known.state.value)
    if now >= terms.end:
        raise AgreementOver(name, AgreementState.EXPIRED.value)
    agreeing = await find_agreeing(farm, node, name, renter_signature)
    record = FarmerAgreement(name, terms, renter_signature, AgreementState.PROPOSED, now, now)
    farm.database.read(lambda conn: check_signer(conn, farm, record, agreeing))
    async with farm.lock(name):
        tree = await farm.run(farm.store.rebuild, name)
        if tree.root != terms.data_root:
            raise WrongDataRoot(tree.root, terms.data_root)
        stored = await countersign(farm, record)
    log.info("agreement_taken_back agreement=%s renter=%s", name.hex(), node.hex())
    return view(stored)
