"""When a farmer turns vouchers into tokens: a decision with its reason, its time and a sentence for people.

A claim costs gas, so a farmer waits until enough has come together, and for a cheaper hour where nothing
presses; never once the payer asked to close. What goes together in one transaction is `payments.sweep`'s.
`decide` is asked again at every change and gives the same answer to the same facts.

Claims use the unconditional voucher. The conditional one is sent with the proof of its audit where the renter
defaults, and only if the step it brings is worth what the proof costs:

- the payer asked to close: any step above the cost is worth it, any at all while no price of gas is known;
- the step is unpaid beyond the agreed grace, or its renter owes more than its limit: the cost must keep
  within the fee share. While no price of gas is known it waits: the deposit is locked until a close request.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from payments.channel import Channel, Status
from payments.gas_forecast import Cheaper
from payments.types import MAX_AMOUNT, MONTH, Amount, Seconds, Timestamp, to_uint

_NOTHING: Final = Amount(0)
_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class ClaimPolicy:
    """A farmer's rules, in base units of the channel's token, seconds and percent.

    min_amount: smaller sums wait, but not longer than max_age. max_fee_share: a claim whose fee is a larger
    part of it (percent) waits whatever its age. max_exposure: sums from here on are claimed at any fee.
    """

    min_amount: Amount = _NOTHING
    max_fee_share: int = 25
    max_age: Seconds = Seconds(7 * 24 * 3600)  # noqa: RUF009 - a NewType is no call at run time
    max_exposure: Amount = MAX_AMOUNT

    def __post_init__(self) -> None:
        to_uint("min_amount", self.min_amount, 96)
        to_uint("max_fee_share", self.max_fee_share, 32)
        to_uint("max_age", self.max_age, 64)
        to_uint("max_exposure", self.max_exposure, 96)


class ClaimReason(Enum):
    """Why a claim is made or not made yet."""

    CLOSE_REQUESTED = "close requested"
    TOO_MUCH_AT_RISK = "too much at risk"
    ENOUGH = "enough"
    OLD_ENOUGH = "old enough"
    NOTHING_TO_CLAIM = "nothing to claim"
    BELOW_MINIMUM = "below the minimum"
    FEE_TOO_HIGH = "fee too high"
    RENTER_DEFAULTS = "renter defaults"
    FEE_UNKNOWN = "fee unknown"
    PROOF_TOO_DEAR = "proof too dear"
    CHEAPER_LATER = "cheaper later"
    FROZEN = "chain is read again"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ClaimDecision:
    """The answer. `when`: by when a claim must be mined, or is expected to be made; None if unknown.

    with_proof: the claim is that of the conditional voucher.
    """

    claim: bool
    reason: ClaimReason
    when: Timestamp | None
    sentence: str
    with_proof: bool = False


@dataclass(frozen=True, slots=True)
class Unpaid:
    """Proven work without an unconditional voucher: `amount` is what its own would bring beyond all others.

    since: when it was proven. due: from when on its renter is in default.
    """

    amount: Amount
    since: Timestamp
    due: Timestamp


@dataclass(frozen=True, slots=True)
class Claimable:
    """What could be claimed from one channel now.

    amount: what the unconditional voucher would bring beyond what is claimed. since: when the oldest part of
    it was earned. earning_rate: base units a month the channel brings now, to tell when there will be enough.
    unpaid: what a proof would add.
    """

    amount: Amount
    since: Timestamp
    earning_rate: Amount = _NOTHING
    unpaid: Unpaid | None = None


def decide(
    policy: ClaimPolicy,
    channel: Channel,
    claimable: Claimable,
    *,
    fee: Amount | None,
    now: Timestamp,
    proof_fee: Amount | None = None,
    cheaper: Cheaper | None = None,
    show: Callable[[int], str] = str,
) -> ClaimDecision:
    """Decide about one channel.

    fee: this claim's share of its transaction's cost, in base units of the token; None while no price of gas
    in tokens is known, and then only amount and age decide. proof_fee: what the proof of the unpaid work
    would add to it. cheaper: when gas is expected to cost less. show: how sentences write an amount.
    """
    plain = (
        _nothing_to_do(channel, claimable, show)
        or _urgent(policy, channel, claimable, now, show)
        or _by_profit(policy, claimable, fee, now, cheaper=cheaper, show=show)
    )
    unpaid = claimable.unpaid
    spent = channel.status is Status.CLOSED
    if unpaid is None or spent or (channel.status is Status.FROZEN and not channel.closes_at):
        return plain
    beside = _NOTHING if plain.claim else fee  # the row is paid for where it is claimed anyway
    cost = None if beside is None or proof_fee is None else Amount(beside + proof_fee)
    if channel.closes_at:
        proven = _at_the_close(channel, unpaid, cost, show)
    else:
        proven = _in_default(policy, unpaid, cost, now, show)
    if proven.claim or plain.reason is ClaimReason.NOTHING_TO_CLAIM:
        return proven
    return replace(plain, sentence=f"{plain.sentence} {proven.sentence}")


def _at_the_close(
    channel: Channel, unpaid: Unpaid, cost: Amount | None, show: Callable[[int], str]
) -> ClaimDecision:
    """Decide about proven work of a closing channel: after the withdrawal it is worth nothing."""
    if cost is not None and unpaid.amount <= cost:
        why = (
            f"the proof of {show(unpaid.amount)} would cost about {show(cost)}, and the payer asked to close"
        )
        return _wait(ClaimReason.PROOF_TOO_DEAR, None, why)
    why = (
        f"the payer asked to close, claims count until {write_date(channel.closes_at)}; "
        f"{show(unpaid.amount)} of it is unpaid and goes with its proof"
    )
    return _go(ClaimReason.CLOSE_REQUESTED, channel.closes_at, why, with_proof=True)


def _in_default(
    policy: ClaimPolicy, unpaid: Unpaid, cost: Amount | None, now: Timestamp, show: Callable[[int], str]
) -> ClaimDecision:
    """Decide about proven work that a renter should have paid by a voucher."""
    amount = show(unpaid.amount)
    if now < unpaid.due:
        why = f"{amount} is proven and waits for the renter's payment until {write_date(unpaid.due)}"
        return _wait(ClaimReason.NOTHING_TO_CLAIM, unpaid.due, why)
    late = f"{amount}, proven on {write_date(unpaid.since)}, was not paid"
    if cost is None:
        why = f"{late}; with no price of gas known its proof is only sent when the payer asks to close"
        return _wait(ClaimReason.FEE_UNKNOWN, None, why)
    if cost * _PERCENT > unpaid.amount * policy.max_fee_share:
        why = f"{late}, but its proof would cost about {show(cost)}, more than {policy.max_fee_share} % of it"
        return _wait(ClaimReason.PROOF_TOO_DEAR, None, why)
    return _go(ClaimReason.RENTER_DEFAULTS, now, f"{late}, and goes with its proof", with_proof=True)


def _nothing_to_do(
    channel: Channel, claimable: Claimable, show: Callable[[int], str]
) -> ClaimDecision | None:
    if channel.status is Status.CLOSED:
        return ClaimDecision(
            False,
            ClaimReason.CLOSED,
            None,
            "Nothing can be claimed: the payer has withdrawn, the channel is spent.",
        )
    if claimable.amount:
        return None
    why = "everything earned has been claimed"
    if channel.unclaimed:
        why = f"{show(channel.unclaimed)} is proven and waits for the renter's payment"
    return ClaimDecision(False, ClaimReason.NOTHING_TO_CLAIM, None, f"Nothing to claim: {why}.")


def _urgent(
    policy: ClaimPolicy, channel: Channel, claimable: Claimable, now: Timestamp, show: Callable[[int], str]
) -> ClaimDecision | None:
    """A close request is answered at any fee, before anything else: after the withdrawal nothing is left."""
    if channel.closes_at:
        why = f"the payer asked to close, claims count until {write_date(channel.closes_at)}"
        return _go(ClaimReason.CLOSE_REQUESTED, channel.closes_at, why)
    if channel.status is Status.FROZEN:
        return _wait(ClaimReason.FROZEN, None, "the chain was reorganised and is being read again")
    if claimable.amount >= policy.max_exposure:
        limit = show(policy.max_exposure)
        why = f"{show(claimable.amount)} reaches the limit of {limit} for unclaimed earnings"
        return _go(ClaimReason.TOO_MUCH_AT_RISK, now, why)
    return None


def _by_profit(
    policy: ClaimPolicy,
    claimable: Claimable,
    fee: Amount | None,
    now: Timestamp,
    *,
    cheaper: Cheaper | None,
    show: Callable[[int], str],
) -> ClaimDecision:
    amount = claimable.amount
    if fee is not None and fee * _PERCENT > amount * policy.max_fee_share:
        return _wait_for_fee(policy, claimable, fee, now, cheaper=cheaper, show=show)
    oldest = claimable.since + policy.max_age
    if now >= oldest:
        return _go(ClaimReason.OLD_ENOUGH, now, f"{show(amount)} has waited for {_days(policy.max_age)}")
    if amount < policy.min_amount:
        return _wait_for_minimum(policy, claimable, now, show)
    if cheaper is not None and cheaper.at < oldest:
        why = f"gas is expected to cost {cheaper.percent} % of today's price at {write_date(cheaper.at)}"
        return _wait(ClaimReason.CHEAPER_LATER, cheaper.at, why)
    return _go(ClaimReason.ENOUGH, now, f"{show(amount)} reaches the minimum of {show(policy.min_amount)}")


def _wait_for_fee(
    policy: ClaimPolicy,
    claimable: Claimable,
    fee: Amount,
    now: Timestamp,
    *,
    cheaper: Cheaper | None,
    show: Callable[[int], str],
) -> ClaimDecision:
    """A fee is worth paying when the amount is large enough for it, or so large that any fee is."""
    target = int(policy.max_exposure)
    if policy.max_fee_share:
        worth_it = -(-fee * _PERCENT // policy.max_fee_share)
        target = min(target, max(worth_it, policy.min_amount))
    when = _reached(claimable, target, now)
    if cheaper is not None and fee * cheaper.percent <= claimable.amount * policy.max_fee_share:
        when = cheaper.at if when is None else Timestamp(min(when, cheaper.at))
    forecast = f"expected {write_date(when)}" if when is not None else "no time can be told"
    why = (
        f"the fee of about {show(fee)} is more than {policy.max_fee_share} % of {show(claimable.amount)}; "
        f"it will be claimed at {show(target)} or when gas is cheaper ({forecast})"
    )
    return _wait(ClaimReason.FEE_TOO_HIGH, when, why)


def _wait_for_minimum(
    policy: ClaimPolicy, claimable: Claimable, now: Timestamp, show: Callable[[int], str]
) -> ClaimDecision:
    oldest = Timestamp(claimable.since + policy.max_age)
    reached = _reached(claimable, min(policy.min_amount, policy.max_exposure), now)
    when = oldest if reached is None else Timestamp(min(oldest, reached))
    why = (
        f"{show(claimable.amount)} is below the minimum of {show(policy.min_amount)}; "
        f"it will be claimed by {write_date(when)}"
    )
    return _wait(ClaimReason.BELOW_MINIMUM, when, why)


def _reached(claimable: Claimable, target: int, now: Timestamp) -> Timestamp | None:
    """When the amount reaches `target`, which is above it, at the present rate; None if it does not earn."""
    missing = target - claimable.amount
    if not claimable.earning_rate:
        return None
    return Timestamp(now - (-missing * MONTH // claimable.earning_rate))


def _go(reason: ClaimReason, when: Timestamp, why: str, *, with_proof: bool = False) -> ClaimDecision:
    return ClaimDecision(True, reason, when, f"Due to be claimed: {why}.", with_proof)


def _wait(reason: ClaimReason, when: Timestamp | None, why: str) -> ClaimDecision:
    return ClaimDecision(False, reason, when, f"Not claimed yet: {why}.")


def write_date(when: Timestamp) -> str:
    """Write a time for people; one beyond the calendar (at a rate of a unit a month) as what it is."""
    try:
        return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return "a day after the year 9999"


def _days(seconds: Seconds) -> str:
    days, rest = divmod(seconds, 86_400)
    return f"{days} days" if days and not rest else f"{seconds} s"
