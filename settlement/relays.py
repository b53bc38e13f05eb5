"""Relays: claims that payees let somebody else send, and what the relayer may keep of each.

A payee needs no gas: it signs an Errand, its newest voucher with the most that one relayer may keep until a
deadline. Errands come from strangers, so each is checked before gas is spent on it; what is good goes out in
as few transactions as any other claims.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from payments.errors import SignatureError
from payments.relay_fees import SignedFee, relay_fee_digest
from payments.types import MAX_AMOUNT, Address, Amount, ChannelId
from payments.vouchers import channel_id, recover_signer, voucher_digest
from settlement.calls import Claim, Fee
from settlement.chain_events import Reason
from settlement.claims import Outcome, Plan, foresee, plan_batches
from settlement.client import Chain, ChannelState
from settlement.reverts import Refused
from settlement.rpc import Block


@dataclass(frozen=True, slots=True)
class Errand:
    """A claim, and its payee's word on what a relayer may keep of it."""

    claim: Claim
    fee: SignedFee


@dataclass(frozen=True, slots=True)
class RelayPlan:
    """Transactions that claim for others, what each row pays (`paid`) and what is kept of it (`kept`)."""

    plan: Plan
    paid: Amount
    kept: Amount


async def plan_relays(
    chain: Chain, errands: Sequence[Errand], sender: Address, most: Amount = MAX_AMOUNT
) -> RelayPlan:
    """Plan to run these errands, keeping what each payee allows but no more than `most` of each.

    Of several for one channel the highest voucher counts. Left out, with the contract's reason, is what it
    would skip, and what would pay no fee: a channel that holds less than promised pays none. Sends nothing.
    Raises ChainError's children.
    """
    chosen = _newest(chain, errands)
    head = await chain.head()
    states = await chain.channel_states(list(chosen), head.number)
    fees: dict[ChannelId, Fee] = {}
    left_out: list[Outcome] = []
    paid = 0
    for (name, errand), state in zip(chosen.items(), states, strict=True):
        amount = Amount(max(0, min(errand.claim.voucher.total, state.deposit) - state.claimed))
        fee = Fee(Amount(min(most, errand.fee.terms.maximum, amount)), errand.fee)
        reason = await _examine(chain, errand, state, head, sender)
        if reason is Reason.NONE:
            fees[name] = fee
            paid += amount
        else:
            left_out.append(Outcome(name, None, reason))
    claims = [chosen[name].claim for name in fees]
    plan = await plan_batches(chain, claims, sender, left_out, fees)
    return RelayPlan(plan, Amount(paid), Amount(sum(fee.amount for fee in fees.values())))


def _newest(chain: Chain, errands: Iterable[Errand]) -> dict[ChannelId, Errand]:
    chosen: dict[ChannelId, Errand] = {}
    for errand in errands:
        name = channel_id(chain.domain, errand.claim.terms)
        if name not in chosen or chosen[name].claim.voucher.total < errand.claim.voucher.total:
            chosen[name] = errand
    return chosen


async def _examine(chain: Chain, errand: Errand, state: ChannelState, head: Block, sender: Address) -> Reason:
    """Find the reason for which the contract would skip the errand now."""
    claim, fee = errand.claim, errand.fee.terms
    name = channel_id(chain.domain, claim.terms)
    reason = foresee(claim, state)
    if reason is not Reason.NONE:
        return reason
    if claim.voucher.total > state.deposit:
        return Reason.EMPTY
    if head.timestamp > fee.deadline:
        return Reason.FEE_EXPIRED
    terms = (sender, name, claim.voucher.total)
    if (fee.relayer, fee.channel_id, fee.cumulative_amount) != terms:
        return Reason.FEE_UNSIGNED
    digest = relay_fee_digest(chain.domain, fee)
    if not await _signed(chain, claim.terms.payee, digest, errand.fee.signature, head):
        return Reason.FEE_UNSIGNED
    return await _examine_voucher(chain, name, claim, head, sender)


async def _examine_voucher(
    chain: Chain, name: ChannelId, claim: Claim, head: Block, sender: Address
) -> Reason:
    voucher = claim.voucher
    digest = voucher_digest(chain.domain, voucher.voucher)
    good = voucher.voucher.channel_id == name
    if not good or not await _signed(chain, claim.terms.signer, digest, voucher.signature, head):
        return Reason.BAD_SIGNATURE
    if not voucher.voucher.conditional:
        return Reason.NONE if not claim.proof else Reason.BAD_PROOF
    try:
        await chain.simulate(chain.calls.claim([claim]), sender)
    except Refused as refused:
        return Reason(refused.reason)
    return Reason.NONE


async def _signed(chain: Chain, signer: Address, digest: bytes, signature: bytes, head: Block) -> bool:
    """Whether a key signed, or a contract says that it did."""
    try:
        if recover_signer(digest, signature) == signer:
            return True
    except SignatureError:
        pass
    return await chain.account_accepts(signer, digest, signature, block=head.number)
