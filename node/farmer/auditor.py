"""How a farmer answers audits: the whole challenge or nothing, and never before the voucher is on disk.

The checks come in the protocol's order: the payment shown, the condition recomputed, the items against our
own agreements, the step, the deposit, the signature. Then the proof is read and checked leaf by leaf; voucher
and proof are written together; only then they are answered. The same challenge with the same voucher gets the
same answer again, whatever happened in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from node.audit import Challenge, ItemProof, Proof, challenge_digest, check_challenge
from node.db import Connection
from node.db.farmer import Held, load_held, save_held
from node.db.farmer_agreements import FarmerAgreement, load_agreements
from node.errors import NodeError, UnknownAgreement
from node.farmer.agreements import running
from node.farmer.contract_signers import find_signer
from node.farmer.errors import StepAboveExposure
from node.farmer.farm import Account, Farm, check_exposure, load_account
from node.farmer.losses import answer_for
from node.farmer.restored import thaw_channel
from node.farmer.vouchers import bank, enter, evidence, told
from node.messages import AgreementState, Behind, Declined, ProofMessage, Proven
from node.shard_store import ShardDamaged, ShardMissing, ShardStore
from payments.errors import PaymentError, WrongCondition
from payments.ledger import Accepted, accept_payment, accept_proven
from payments.types import Address, Amount, NodeId, Timestamp, to_amount
from payments.vouchers import SignedVoucher

Answer = Proven | Declined | Behind
Records = Mapping[bytes, FarmerAgreement]


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit as it came, with what is computed of it once: the condition, and who signed the vouchers."""

    node: NodeId
    paid: SignedVoucher | None
    challenge: Challenge
    voucher: SignedVoucher
    condition: bytes
    payer: Address | None
    promiser: Address
    now: Timestamp


@dataclass(frozen=True, slots=True)
class Worth:
    """What a challenge is worth: the price of the audit, and what its agreements bring a month."""

    step: Amount
    rate: Amount


@dataclass(frozen=True, slots=True)
class Found:
    """A proof that is good and not yet written down, and what it is worth."""

    proof: Proof
    worth: Worth


@dataclass(frozen=True, slots=True)
class Lost:
    """The items that cannot be proven, and why; nothing is shown of the others."""

    reasons: Mapping[bytes, str]


async def answer_audit(
    farm: Farm, node: NodeId, *, paid: SignedVoucher | None, challenge: Challenge, voucher: SignedVoucher
) -> Answer:
    """Answer a challenge, one at a time in each channel. A good payment that came along is kept in any case.

    Raises BadChallenge, PaymentError, PaymentRequired, NotFound, AgreementRefused.
    """
    condition = challenge_digest(farm.domain, challenge)
    if voucher.voucher.condition != condition:
        raise WrongCondition(condition, voucher.voucher.condition)
    audit = Audit(
        node=node,
        paid=paid,
        challenge=challenge,
        voucher=voucher,
        condition=condition,
        payer=await find_signer(farm, paid) if paid else None,
        promiser=await find_signer(farm, voucher),
        now=farm.now(),
    )
    async with farm.lock(voucher.voucher.channel_id):
        try:
            found = await _consider(farm, audit)
        except (NodeError, PaymentError):
            await _keep(farm, audit, None)
            raise
        await _keep(farm, audit, found if isinstance(found, Found) else None)
    if isinstance(found, Lost):
        await answer_for(farm.hoard, found.reasons)
        found = Declined(agreements=tuple(found.reasons))
    if isinstance(found, Found):
        farm.stats.count("audits_passed")
        return Proven(proof=ProofMessage.of(found.proof))
    if isinstance(found, Declined):
        farm.stats.count("audits_failed")
    return found


async def _consider(farm: Farm, audit: Audit) -> Found | Lost | Answer:
    """Find the answer; nothing is written yet."""
    account, held, records = await farm.run(farm.database.read, lambda conn: _look(conn, farm, audit))
    if held is not None and audit.voucher == account.earnings.proven:
        return Proven(proof=ProofMessage.of(held.proof))
    if held is not None and account.earnings.unpaid:
        return _behind(account, held)
    if gone := [name for name, record in records.items() if record.state is AgreementState.LOST]:
        return Declined(agreements=tuple(gone))
    worth = _appraise(farm, audit, records)
    _accept(farm, audit, account, worth)
    await farm.run(
        farm.database.read, lambda conn: check_exposure(conn, farm, account.sums, audit.now, account)
    )
    proof = await farm.run(_prove, farm.store, audit.challenge, records)
    return proof if isinstance(proof, Lost) else Found(proof, worth)


async def _keep(farm: Farm, audit: Audit, found: Found | None) -> None:
    """Write payment, voucher and proof down in one transaction; without a proof, the payment alone."""
    if audit.paid is None and found is None:
        return

    def step(conn: Connection) -> list[Accepted]:
        account, taken = load_account(conn, audit.voucher.voucher.channel_id, audit.node), []
        if audit.paid is not None:
            accepted, account = bank(conn, farm, account, audit.paid, signer=audit.payer)
            taken.append(accepted)
        if found is not None:
            accepted = _accept(farm, audit, account, found.worth)
            enter(conn, account, accepted, audit.now)
            save_held(conn, account.channel.id, Held(audit.challenge, found.proof))
            taken.append(accepted)
        return taken

    for accepted in await farm.database.write(step):
        told(farm, accepted)
    if audit.paid is not None:
        await thaw_channel(farm, audit.paid.voucher.channel_id)


def _look(conn: Connection, farm: Farm, audit: Audit) -> tuple[Account, Held | None, Records]:
    """Read the channel as it is with the payment taken, the proof it holds, and the challenged agreements."""
    account = load_account(conn, audit.voucher.voucher.channel_id, audit.node)
    if audit.paid is not None:
        accepted = accept_payment(
            farm.domain,
            account.channel,
            account.earnings,
            audit.paid,
            storage_rate=account.sums.storage_rate,
            signer=audit.payer,
        )
        book = replace(account.book, earnings=accepted.earnings)
        account = replace(account, channel=accepted.channel, book=book)
    held = load_held(conn, account.channel.id)
    found = load_agreements(conn, [item.agreement for item in audit.challenge.items])
    return account, held, {name: one for name, one in found.items() if one.agreement.renter == audit.node}


def _accept(farm: Farm, audit: Audit, account: Account, worth: Worth) -> Accepted:
    return accept_proven(
        farm.domain,
        account.channel,
        account.earnings,
        audit.voucher,
        condition=audit.condition,
        step=worth.step,
        rate=worth.rate,
        now=audit.now,
        signer=audit.promiser,
    )


def _appraise(farm: Farm, audit: Audit, records: Records) -> Worth:
    """Check the items against our agreements; what the whole challenge is worth."""
    check_challenge(audit.challenge, {name: one.agreement.commitment for name, one in records.items()})
    for name, record in records.items():
        running(record, name, audit.node, audit.now)
    step = to_amount(sum(record.agreement.step for record in records.values()))
    if step > farm.config.max_exposure:
        raise StepAboveExposure(step, farm.config.max_exposure)
    return Worth(step, to_amount(sum(record.storage_rate for record in records.values())))


def _prove(store: ShardStore, challenge: Challenge, records: Records) -> Proof | Lost:
    """Read the proof of every item; if one cannot be proven, name all of those and show nothing."""
    parts: list[ItemProof] = []
    lost: dict[bytes, str] = {}
    for item in challenge.items:
        record = records.get(item.agreement)
        if record is None:
            raise UnknownAgreement(item.agreement)
        length = record.agreement.shard_length
        try:
            parts.append(ItemProof(*store.prove(item.agreement, item.indices, length, item.data_root)))
        except (ShardMissing, ShardDamaged) as fault:
            lost[item.agreement] = fault.reason
    return Lost(lost) if lost else Proof(tuple(parts))


def _behind(account: Account, held: Held) -> Behind:
    proven = account.earnings.proven
    if proven is None:
        raise ValueError("a proof is held without its voucher")
    shown = evidence(proven, held)
    return Behind(voucher=shown.voucher, challenge=shown.challenge, proof=shown.proof)
