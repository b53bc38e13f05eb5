"""What could be claimed from each channel of a farmer, and the decision about it by `payments.sweep`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from node.db import Connection
from node.db.farmer import Book, list_books_with_channels, load_held
from node.db.farmer_agreements import RenterSums, list_sums, load_agreements
from node.farmer.config import FarmerConfig
from node.farmer.farm import caught_up, exposure_limit
from node.packed_proof import pack_proof
from payments.channel import Channel
from payments.gas_forecast import Cheaper
from payments.policy import Claimable, ClaimDecision, ClaimPolicy, Unpaid
from payments.sweep import Row, decide_all
from payments.types import MAX_AMOUNT, Amount, Seconds, Timestamp, to_amount
from settlement.calls import Claim

BATCH_GAS = 45_000
"""Gas of a claim transaction before its first row, as measured."""
ROW_GAS = 13_000
"""Gas of each row."""
PROOF_BYTE_GAS = 39
"""Gas of each byte of a proof at most: of one leaf alone 21 to 25 were measured, of many in a batch 39. There
the floor price of call data decides (EIP-7623): 40 for a byte that is not zero."""
ALONE_GAS = BATCH_GAS + ROW_GAS
_ETHER = 10**18


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
    """A candidate, what its row adds to the cost of a claim (None: unknown), and the decision."""

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
    def gas(self) -> int:
        """What the claim takes beside others."""
        return ROW_GAS + (len(self.candidate.proof) * PROOF_BYTE_GAS if self.decision.with_proof else 0)

    @property
    def claim(self) -> Claim | None:
        """The claim of the voucher decided upon; None where there is none."""
        one, earnings = self.candidate, self.candidate.book.earnings
        if self.decision.with_proof and earnings.proven:
            return Claim(one.channel.terms, earnings.proven, one.proof)
        return Claim(one.channel.terms, earnings.paid) if one.claimable.amount and earnings.paid else None


def find_candidates(conn: Connection, now: Timestamp, *, closing: bool = False) -> list[Candidate]:
    """Every accepted channel, with what its unconditional voucher would bring and its proof would add.

    closing: only those whose payer has asked to close.
    """
    found = []
    all_sums = {sums.renter: sums for sums in list_sums(conn)}
    for book, channel in list_books_with_channels(conn):
        if closing and not channel.closes_at:
            continue
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
    cheaper: Cheaper | None = None,
    show: Callable[[int], str] = str,
) -> list[Considered]:
    """Decide about every channel; `gas_wei` is the price of a unit of gas, `show` writes amounts."""
    fee = fee_of(config, gas_wei, ROW_GAS)
    rows = [
        Row(
            one.channel,
            one.claimable,
            fee,
            fee_of(config, gas_wei, len(one.proof) * PROOF_BYTE_GAS),
            _policy(config, one),
        )
        for one in candidates
    ]
    decisions = decide_all(
        config.claims, rows, base_fee=fee_of(config, gas_wei, BATCH_GAS), now=now, cheaper=cheaper, show=show
    )
    return [Considered(one, fee, decision) for one, decision in zip(candidates, decisions, strict=True)]


def _policy(config: FarmerConfig, one: Candidate) -> ClaimPolicy:
    """Claim revocable vouchers before they fill what their renter may owe: it would not be served further."""
    if not one.book.earnings.revocable:
        return config.claims
    soon = Amount(exposure_limit(config, one.sums) // 2)
    return replace(config.claims, min_amount=min(config.claims.min_amount, soon))


def fee_of(config: FarmerConfig, gas_wei: int | None, gas: int) -> Amount | None:
    """What so much gas costs, in base units of the token."""
    if gas_wei is None or config.gas_price is None:
        return None
    return to_amount(min(MAX_AMOUNT, -(-gas * gas_wei * config.gas_price // _ETHER)))
