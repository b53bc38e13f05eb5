"""Deadlines: what stands to be lost when a channel closes, and whether the time left is still enough.

A claim must be mined before the payer may withdraw. The margin is the longest a claim has lately taken, and
what chain time runs ahead of our clock; once less than that is left, somebody has to look.
"""

from dataclasses import dataclass
from typing import Final

from payments.types import Amount, ChannelId, Seconds, Timestamp

_ETHER: Final = 10**18


@dataclass(frozen=True, slots=True)
class Deadline:
    """`amount` base units are lost unless claimed before `closes_at`, which is `remaining` seconds away."""

    channel_id: ChannelId
    amount: Amount
    closes_at: Timestamp
    remaining: int
    margin: Seconds

    @property
    def short(self) -> bool:
        """Whether a claim that takes as long as the slowest one comes too late, or just in time."""
        return self.remaining <= self.margin


def margin(worst_latency: Seconds, now: Timestamp, chain_time: Timestamp | None) -> Seconds:
    """Add up what may go wrong: the slowest claim seen, and by how much the chain's clock is ahead of ours.

    chain_time: of the newest block; None while the chain does not answer. A head that lies behind is a chain
    without blocks rather than a clock that is late.
    """
    skew = 0 if chain_time is None else max(0, chain_time - now)
    return Seconds(worst_latency + skew)


def deadline_ceiling(ordinary: int, extra: int, *, amount: Amount, gas: int, gas_price: Amount | None) -> int:
    """Say what a unit of gas may cost (wei) for claims that cannot wait, worth `amount` and taking `gas`.

    The `ordinary` ceiling holds in any case; above it, up to `extra`, as long as the claims bring more than
    they cost. gas_price: base units that 10**18 wei are worth; unknown, `extra` is allowed: an owner who has
    not said what gas is worth has said what it may cost.
    """
    if gas_price is None or not gas:
        return max(ordinary, extra)
    worth = extra if not gas_price else amount * _ETHER // (gas_price * gas)
    return max(ordinary, min(extra, worth))
