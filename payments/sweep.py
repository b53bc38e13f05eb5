"""A sweep: which vouchers go together, so that each pays the gas it adds and all together pay the rest.

A transaction of claims costs a base, and something for each row. A row whose own gas is more than the fee
share of what it brings only makes the others poorer, so it stays out. The rows that remain each add to what
may be spent; if they do not bear the base together, no choice among them does, and all wait. Where a claim
cannot wait (a close request, too much at risk) the base is paid in any case, and the rest may ride along.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from payments.channel import Channel
from payments.gas_forecast import Cheaper
from payments.policy import Claimable, ClaimDecision, ClaimPolicy, ClaimReason, decide, write_date
from payments.types import MONTH, Amount, Timestamp

_PERCENT: Final = 100
_FORCED: Final = (ClaimReason.CLOSE_REQUESTED, ClaimReason.TOO_MUCH_AT_RISK)


@dataclass(frozen=True, slots=True)
class Row:
    """One channel, and what its claim and its proof would add to a transaction's cost; None if unknown.

    policy: its own, where it is not the farmer's; the fee share is the farmer's in any case.
    """

    channel: Channel
    claimable: Claimable
    fee: Amount | None
    proof_fee: Amount | None = None
    policy: ClaimPolicy | None = None


def decide_all(
    policy: ClaimPolicy,
    rows: Sequence[Row],
    *,
    base_fee: Amount | None,
    now: Timestamp,
    cheaper: Cheaper | None = None,
    show: Callable[[int], str] = str,
) -> list[ClaimDecision]:
    """Decide about all channels of a farmer at once, in their order.

    base_fee: what a transaction costs before its first row, in base units of the token; None while no price
    of gas is known. cheaper: when gas is expected to cost less.
    """

    def judge(row: Row, base: Amount, cheaper: Cheaper | None) -> ClaimDecision:
        fee = None if row.fee is None else Amount(row.fee + base)
        return decide(
            row.policy or policy,
            row.channel,
            row.claimable,
            fee=fee,
            proof_fee=row.proof_fee,
            now=now,
            cheaper=cheaper,
            show=show,
        )

    beside = [judge(row, Amount(0), None) for row in rows]
    going = [(row, one) for row, one in zip(rows, beside, strict=True) if one.claim]
    if not going or any(one.reason in _FORCED for _, one in going):
        return beside
    missing = 0 if base_fee is None else _missing(policy, going, base_fee)
    if missing <= 0:
        later = [judge(row, Amount(0), cheaper) for row in rows]
        return beside if any(one.claim for one in later) else later  # nobody goes alone for waiting less
    when = _together(policy, [row for row, _ in going], missing, now)
    return [
        _wait_with_others(judge(row, base_fee or Amount(0), cheaper), when, len(going)) if one.claim else one
        for row, one in zip(rows, beside, strict=True)
    ]


def _missing(policy: ClaimPolicy, going: Sequence[tuple[Row, ClaimDecision]], base_fee: Amount) -> int:
    """Say what rows lack that shall bear the base, in percents of base units; 0 or less if they bear it."""
    cost = base_fee + sum(_cost(*one) for one in going)
    return cost * _PERCENT - policy.max_fee_share * sum(brings(*one) for one in going)


def brings(row: Row, decision: ClaimDecision) -> int:
    """Say what the claim decided upon brings, in base units."""
    unpaid = row.claimable.unpaid
    return row.claimable.amount + (unpaid.amount if decision.with_proof and unpaid else 0)


def _cost(row: Row, decision: ClaimDecision) -> int:
    return (row.fee or 0) + (row.proof_fee or 0 if decision.with_proof else 0)


def _together(policy: ClaimPolicy, rows: Sequence[Row], missing: int, now: Timestamp) -> Timestamp | None:
    """Say when rows that earn on will bear the base together; None if they do not earn."""
    gain = policy.max_fee_share * sum(row.claimable.earning_rate for row in rows)
    return Timestamp(now - (-missing * MONTH // gain)) if gain else None


def _wait_with_others(alone: ClaimDecision, when: Timestamp | None, count: int) -> ClaimDecision:
    """Tell of a claim that is dear alone when it is expected in company."""
    if count == 1 or when is None or (alone.when is not None and alone.when <= when):
        return alone
    sentence = f"{alone.sentence} Together with {count - 1} more it is expected by {write_date(when)}."
    return replace(alone, when=when, sentence=sentence)
