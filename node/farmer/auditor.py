"""How a farmer answers audits: the whole challenge or nothing, and never before the voucher is on disk.

The checks come in the protocol's order: the payment shown, the condition recomputed, the items against our
own agreements, the step, the deposit, the signature. Then the proof is read and checked leaf by leaf; voucher
and proof are written together; only then they are answered. The same challenge with the same voucher gets the
same answer again, whatever happened in between.
"""

from collections.abc import Mapping

from node.audit import Challenge, ItemProof, Proof, challenge_digest, check_challenge
from node.db import Connection
from node.db.farmer import Held, load_held, save_held
from node.db.farmer_agreements import FarmerAgreement, load_agreements
from node.errors import UnknownAgreement
from node.farmer.errors import StepAboveExposure
from node.farmer.farm import Farm, Page, check_exposure, load_page
from node.farmer.shelf import running
from node.farmer.till import bank, enter, evidence, told
from node.messages import Behind, Declined, ProofMessage, Proven
from node.shard_store import ShardDamaged, ShardMissing, ShardStore
from payments.errors import WrongCondition
from payments.ledger import Accepted, accept_proven
from payments.types import Amount, NodeId, Timestamp, to_amount
from payments.vouchers import SignedVoucher

Answer = Proven | Declined | Behind
Records = Mapping[bytes, FarmerAgreement]


async def answer_audit(
    farm: Farm, node: NodeId, *, paid: SignedVoucher | None, challenge: Challenge, voucher: SignedVoucher
) -> Answer:
    """Answer a challenge, one at a time in each channel.

    Raises BadChallenge, PaymentError, PaymentRequired, NotFound, AgreementRefused.
    """
    async with farm.lock(voucher.voucher.channel_id):
        if paid is not None:
            await _take(farm, node, paid)
        return await _answer(farm, node, challenge, voucher)


async def _take(farm: Farm, node: NodeId, paid: SignedVoucher) -> None:
    def step(conn: Connection) -> Accepted:
        return bank(conn, farm, load_page(conn, paid.voucher.channel_id, node), paid)[0]

    told(farm, await farm.database.write(step))


async def _answer(farm: Farm, node: NodeId, challenge: Challenge, voucher: SignedVoucher) -> Answer:
    now = farm.now()
    condition = challenge_digest(farm.domain, challenge)
    if voucher.voucher.condition != condition:
        raise WrongCondition(condition, voucher.voucher.condition)
    page, held, records = farm.database.read(lambda conn: _look(conn, node, challenge, voucher))
    if held is not None and voucher == page.earnings.proven:
        return Proven(proof=ProofMessage.of(held.proof))
    if held is not None and page.earnings.unpaid:
        return _behind(page, held)
    step = _step(farm, node, challenge, records, now)
    accept_proven(farm.domain, page.channel, page.earnings, voucher, condition=condition, step=step, now=now)
    farm.database.read(lambda conn: check_exposure(conn, farm, page.account, now))
    found = await farm.run(_prove, farm.store, challenge, records)
    if isinstance(found, Declined):
        farm.stats.count("audits_failed")
        return found

    def keep(conn: Connection) -> Accepted:
        page = load_page(conn, voucher.voucher.channel_id, node)
        accepted = accept_proven(
            farm.domain, page.channel, page.earnings, voucher, condition=condition, step=step, now=now
        )
        enter(conn, page, accepted, now)
        save_held(conn, page.channel.id, Held(challenge, found))
        return accepted

    told(farm, await farm.database.write(keep))
    farm.stats.count("audits_passed")
    return Proven(proof=ProofMessage.of(found))


def _look(
    conn: Connection, node: NodeId, challenge: Challenge, voucher: SignedVoucher
) -> tuple[Page, Held | None, Records]:
    """Read the channel, the proof it holds, and the challenged agreements of this renter."""
    page = load_page(conn, voucher.voucher.channel_id, node)
    held = load_held(conn, page.channel.id)
    found = load_agreements(conn, [item.agreement for item in challenge.items])
    return page, held, {name: one for name, one in found.items() if one.agreement.renter == node}


def _step(farm: Farm, node: NodeId, challenge: Challenge, records: Records, now: Timestamp) -> Amount:
    """Check the items against our agreements; what the whole challenge is worth."""
    check_challenge(challenge, {name: one.agreement.commitment for name, one in records.items()})
    for name, record in records.items():
        running(record, name, node, now)
    step = to_amount(sum(record.agreement.step for record in records.values()))
    if step > farm.config.max_exposure:
        raise StepAboveExposure(step, farm.config.max_exposure)
    return step


def _prove(store: ShardStore, challenge: Challenge, records: Records) -> Proof | Declined:
    """Read the proof of every item; if one cannot be proven, name all of those and show nothing."""
    parts: list[ItemProof] = []
    lost: list[bytes] = []
    for item in challenge.items:
        record = records.get(item.agreement)
        if record is None:
            raise UnknownAgreement(item.agreement)
        length = record.agreement.shard_length
        try:
            parts.append(ItemProof(*store.prove(item.agreement, item.indices, length, item.data_root)))
        except (ShardMissing, ShardDamaged):
            lost.append(item.agreement)
    return Declined(agreements=tuple(lost)) if lost else Proof(tuple(parts))


def _behind(page: Page, held: Held) -> Behind:
    proven = page.earnings.proven
    if proven is None:
        raise ValueError("a proof is held without its voucher")
    shown = evidence(proven, held)
    return Behind(voucher=shown.voucher, challenge=shown.challenge, proof=shown.proof)
