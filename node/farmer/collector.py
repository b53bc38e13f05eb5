"""Turning vouchers into tokens: what could be claimed, whether it is time, why not yet, and the claim itself.

The decision is `payments.policy`'s; here it gets its facts and is carried out. A claim that cannot be sent
now (no gas money, fees above the ceiling, chain away) stays in the outbox and is reported as trouble.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from node.db import Connection
from node.db.farmer import Book, list_books_with_channels, load_held
from node.db.farmer_agreements import RenterSums, list_sums, load_agreements
from node.farmer.config import FarmerConfig
from node.farmer.contract_signers import still_signed
from node.farmer.farm import Farm, caught_up, exposure_limit
from node.farmer.restored import may_claim
from node.packed_proof import pack_proof
from payments.channel import Channel
from payments.policy import Claimable, ClaimDecision, ClaimPolicy, Unpaid, decide
from payments.types import Amount, Seconds, Timestamp, to_amount
from payments.vouchers import SigningKey, Voucher
from settlement.chain_events import Reason
from settlement.claims import Outcome, plan_claims, send_claims
from settlement.client import Chain, Claim
from settlement.errors import ChainError
from settlement.outbox import Outbox

log = logging.getLogger("tithebarn.farmer")

BATCH_GAS = 45_000
"""Gas of a claim transaction before its first row, as measured."""
ROW_GAS = 13_000
"""Gas of each row."""
PROOF_BYTE_GAS = 39
"""Gas of each byte of a proof at most: of one leaf alone 21 to 25 were measured, of many in a batch 39. There
the floor price of call data decides (EIP-7623): 40 for a byte that is not zero."""
ALONE_GAS = BATCH_GAS + ROW_GAS
_ETHER = 10**18
_MAX_AMOUNT = 2**96 - 1
_UNPROVEN = (Reason.BAD_PROOF, Reason.BAD_SIGNATURE)
"""How the contract says that a proof does not belong to its voucher."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One channel and what could be claimed from it; `proof` is packed, empty where all work is paid."""

    channel: Channel
    book: Book
    sums: RenterSums
    claimable: Claimable
    proof: bytes = b""


@dataclass(frozen=True, slots=True)
class Considered:
    """A candidate, the fee its claim would cost (None: no price of gas is known), and the decision."""

    candidate: Candidate
    fee: Amount | None
    decision: ClaimDecision

    @property
    def amount(self) -> Amount:
        """What a claim would bring now."""
        claimable = self.candidate.claimable
        proven = claimable.unpaid.amount if self.decision.with_proof and claimable.unpaid else 0
        return Amount(claimable.amount + proven)

    @property
    def claim(self) -> Claim | None:
        """The claim of the voucher decided upon; None where there is none."""
        one, earnings = self.candidate, self.candidate.book.earnings
        if self.decision.with_proof and earnings.proven:
            return Claim(one.channel.terms, earnings.proven, one.proof)
        return Claim(one.channel.terms, earnings.paid) if one.claimable.amount and earnings.paid else None


def find_candidates(conn: Connection, now: Timestamp) -> list[Candidate]:
    """Every accepted channel, with what its unconditional voucher would bring and its proof would add."""
    found = []
    all_sums = {sums.renter: sums for sums in list_sums(conn)}
    for book, channel in list_books_with_channels(conn):
        sums = all_sums.get(book.renter) or RenterSums(book.renter)
        current = caught_up(book, channel, sums)
        paid = current.earnings.paid
        amount = max(0, min(paid.total, channel.deposit) - channel.claimed) if paid else 0
        since = current.unclaimed_since or now
        unpaid, proof = _find_unpaid(conn, channel, current, sums)
        claimable = Claimable(Amount(amount), since, sums.storage_rate, unpaid)
        found.append(Candidate(channel, current, sums, claimable, proof))
    return found


def _find_unpaid(
    conn: Connection, channel: Channel, book: Book, sums: RenterSums
) -> tuple[Unpaid | None, bytes]:
    """Find the proven work that is not paid, and its packed proof.

    Its renter has the longest grace of the agreements it shows, unless it owes too much already.
    """
    earnings = book.earnings
    held = load_held(conn, channel.id) if earnings.proven and earnings.unpaid else None
    if held is None or earnings.proven is None:
        return None, b""
    amount = min(earnings.proven.total, channel.deposit) - min(earnings.covered, channel.deposit)
    if not amount:
        return None, b""
    shown = load_agreements(conn, [item.agreement for item in held.challenge.items]).values()
    grace = max((one.agreement.grace for one in shown), default=Seconds(0))
    due = sums.over_since or Timestamp(earnings.proven_at + grace)
    return Unpaid(Amount(amount), earnings.proven_at, due), pack_proof(held.challenge, held.proof)


def consider(
    config: FarmerConfig,
    candidates: Sequence[Candidate],
    *,
    gas_wei: int | None,
    now: Timestamp,
    show: Callable[[int], str] = str,
) -> list[Considered]:
    """Decide about every channel; `gas_wei` is the price of a unit of gas, `show` writes amounts."""
    worth = sum(1 for candidate in candidates if candidate.claimable.amount)
    row_gas = -(-BATCH_GAS // max(1, worth)) + ROW_GAS
    fee = _fee(config, gas_wei, row_gas)

    def judge(one: Candidate) -> ClaimDecision:
        proof_fee = _fee(config, gas_wei, len(one.proof) * PROOF_BYTE_GAS)
        policy = _policy(config, one)
        return decide(policy, one.channel, one.claimable, fee=fee, proof_fee=proof_fee, now=now, show=show)

    return [Considered(one, fee, judge(one)) for one in candidates]


def _policy(config: FarmerConfig, one: Candidate) -> ClaimPolicy:
    """Claim revocable vouchers before they fill what their renter may owe: it would not be served further."""
    if not one.book.earnings.revocable:
        return config.claims
    soon = Amount(exposure_limit(config, one.sums) // 2)
    return replace(config.claims, min_amount=min(config.claims.min_amount, soon))


async def gas_now(chain: Chain) -> int | None:
    """What a unit of gas costs in wei; None if the chain does not say."""
    try:
        return (await chain.rpc.fees()).now
    except ChainError:
        return None


class Collector:
    """Claims for one farmer. Without a gas key it only says what it would do."""

    def __init__(self, farm: Farm, outbox: Outbox, key: SigningKey | None) -> None:
        self._farm = farm
        self._outbox = outbox
        self._key = key
        self._lock = asyncio.Lock()
        self._refused: set[Voucher] = set()
        self.trouble: str | None = None
        """Why the last claim that was decided upon could not be made."""

    async def collect(self, *, everything: bool = False) -> tuple[Outcome, ...]:
        """Claim what the policy says is due, or all there is; what became of each channel.

        Raises nothing for a chain that does not play along: that is `trouble`, and the next call tries again.
        """
        async with self._lock:
            return await self._collect(everything=everything)

    async def _collect(self, *, everything: bool) -> tuple[Outcome, ...]:
        now = self._farm.now()
        found = await self._farm.run(self._farm.database.read, lambda conn: find_candidates(conn, now))
        mine = may_claim(self._farm, [one.channel for one in found])
        found = [one for one in found if one.channel.id in mine]
        gas_wei = await gas_now(self._farm.chain)
        considered = consider(self._farm.config, [*map(self._trusted, found)], gas_wei=gas_wei, now=now)
        due = [one.claim for one in considered if everything or one.decision.claim]
        claims = [claim for claim in due if claim is not None]
        if not claims:
            return ()
        if self._key is None:
            self._report("no gas key is unlocked: nothing can be claimed")
            return ()
        return await self._claim(claims, self._key)

    def _trusted(self, one: Candidate) -> Candidate:
        """Leave a proof out that the contract has refused: what is paid is claimed without it."""
        proven = one.book.earnings.proven
        if proven is None or proven.voucher not in self._refused:
            return one
        return replace(one, claimable=replace(one.claimable, unpaid=None), proof=b"")

    async def _claim(self, claims: Sequence[Claim], key: SigningKey) -> tuple[Outcome, ...]:
        chain = self._farm.chain
        try:
            good = [claim for claim in claims if await still_signed(self._farm, claim.voucher)]
            plan = await plan_claims(chain, good, key.address)
            outcomes = await send_claims(chain, self._outbox, plan, key)
        except ChainError as error:
            self._report(str(error))
            return ()
        self.trouble = None
        for claim in claims:
            if claim not in good:
                name = claim.voucher.voucher.channel_id.hex()
                self._report(f"channel 0x{name[:16]}: the contract that signed its voucher refuses it now")
        proven = {claim.voucher.voucher.channel_id: claim.voucher.voucher for claim in claims if claim.proof}
        for outcome in outcomes:
            if outcome.reason in _UNPROVEN and outcome.channel_id in proven:
                self._refused.add(proven[outcome.channel_id])
                self._farm.claims_due.set()
            name = outcome.channel_id.hex()
            if outcome.claimed is not None:
                self._farm.stats.count("claims")
                log.info("claimed channel=%s total=%d", name, outcome.claimed)
            elif outcome.reason is not Reason.STALE:
                self.trouble = (
                    f"channel 0x{name[:16]}: the contract skipped the claim ({outcome.reason.name})"
                )
                log.warning("claim_skipped channel=%s reason=%s", name, outcome.reason.name)
        return outcomes

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("claim_waits reason=%s", trouble)
        self.trouble = trouble


def _fee(config: FarmerConfig, gas_wei: int | None, gas: int) -> Amount | None:
    """What so much gas costs, in base units of the token."""
    if gas_wei is None or config.gas_price is None:
        return None
    return to_amount(min(_MAX_AMOUNT, -(-gas * gas_wei * config.gas_price // _ETHER)))
