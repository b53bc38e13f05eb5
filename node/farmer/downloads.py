"""Downloads: a farmer sells reads of its shards, step by step, each paid by a voucher before it is given.

A step brings leaves and the hashes that prove them, so that its buyer knows at once what it has bought.
"""

from typing import Final

from node.agreement import Agreement
from node.db import Connection
from node.db.farmer import Purchase, load_purchase, save_purchase
from node.errors import LeavesOutOfBounds
from node.farmer.agreements import stored_agreement
from node.farmer.contract_signers import find_signer
from node.farmer.errors import ReadOutOfBounds
from node.farmer.farm import Farm, check_exposure, load_account
from node.farmer.losses import answer_for
from node.farmer.vouchers import bank, told
from node.leaf_ranges import LeafRange
from node.shard_store import ShardDamaged, ShardMissing
from payments.ledger import Accepted
from payments.prices import read_price
from payments.types import MIB, NodeId, Timestamp
from payments.vouchers import SignedVoucher

KEPT_TERMS: Final = 4_096
"""Agreements whose terms are at hand."""


async def sell_read(
    farm: Farm, node: NodeId, agreement: bytes, *, offset: int, length: int, payment: SignedVoucher
) -> bytes:
    """Sell up to 1 MiB of a shard with its proof; a voucher buys the same as often as it is asked for.

    The bytes are read before the voucher is taken: nobody pays for what the disk does not give. A shard found
    damaged or gone is given up. Raises
    PaymentError, PaymentRequired, NotFound, ReadOutOfBounds, AgreementRefused, ShardMissing, ShardDamaged.
    """
    now = farm.now()
    terms = _terms(farm, node, agreement, now)
    leaves = _leaves(offset, length, terms.shard_length)
    try:
        data, proof = await farm.run(
            farm.store.prove_range, agreement, leaves, terms.shard_length, terms.data_root
        )
    except (ShardMissing, ShardDamaged) as fault:
        farm.database.read(lambda conn: stored_agreement(conn, agreement, node, now))  # is it over?
        await answer_for(farm.hoard, {agreement: f"found by a read: {fault.reason}"})
        raise
    wanted = Purchase(payment.total, agreement, offset, length)
    price = read_price(terms.download_price, length)
    signer = await find_signer(farm, payment)

    def step(conn: Connection) -> Accepted | None:
        stored_agreement(conn, agreement, node, now)
        account = load_account(conn, payment.voucher.channel_id, node)
        if load_purchase(conn, account.channel.id, payment.total) == wanted:
            return None
        check_exposure(conn, farm, account.sums, now)
        accepted, _ = bank(conn, farm, account, payment, spent=price, signer=signer)
        if price:
            save_purchase(conn, account.channel.id, wanted)
        return accepted

    accepted = await farm.database.write(step)
    if accepted is not None:
        told(farm, accepted)
    farm.stats.count("bytes_sold", length)
    return data + proof


def _terms(farm: Farm, node: NodeId, agreement: bytes, now: Timestamp) -> Agreement:
    """Return an agreement's terms, from the books when it is read from for the first time in a while."""
    known = farm.terms.get(agreement)
    if known is not None and known.renter == node:
        return known
    record = farm.database.read(lambda conn: stored_agreement(conn, agreement, node, now))
    if len(farm.terms) >= KEPT_TERMS:
        farm.terms.clear()
    farm.terms[agreement] = record.agreement
    return record.agreement


def _leaves(offset: int, length: int, shard_length: int) -> LeafRange:
    try:
        if length <= MIB:
            return LeafRange.of(offset, length, shard_length)
    except LeavesOutOfBounds:
        pass
    raise ReadOutOfBounds(offset, length, shard_length)
