"""Fees: what a unit of gas may cost, what the next attempt must offer, and the ceiling we wait above."""

from dataclasses import dataclass, replace
from typing import Final

from settlement.errors import FeeAboveCeiling

GWEI: Final = 10**9
DEFAULT_CEILING: Final = 300 * GWEI


@dataclass(frozen=True, slots=True)
class Fees:
    """What a unit of gas may cost, in wei. `priority` None: no EIP-1559 here, `cap` is the gas price."""

    cap: int
    priority: int | None

    @property
    def now(self) -> int:
        """What a unit would cost in the next block: base fee and tip."""
        return self.cap if self.priority is None else (self.cap - self.priority) // 2 + self.priority


def affordable(current: Fees, ceiling: int) -> Fees:
    """The fees of a first attempt, within the ceiling. Raises FeeAboveCeiling when a unit costs more now."""
    if current.now > ceiling:
        raise FeeAboveCeiling(current.now, ceiling)
    return replace(current, cap=min(current.cap, ceiling))


def raised(last: Fees, current: Fees, ceiling: int) -> Fees:
    """The fees of the next attempt: an eighth above the last at least (pools want a tenth).

    Raises FeeAboveCeiling when a unit costs more now, or the ceiling leaves no room for an eighth.
    """
    wanted = affordable(current, ceiling)
    cap = max(last.cap + last.cap // 8 + 1, wanted.cap)
    if cap > ceiling:
        raise FeeAboveCeiling(cap, ceiling)
    if last.priority is None:
        return Fees(cap, None)
    return Fees(cap, min(cap, max(last.priority + last.priority // 8 + 1, current.priority or 0)))
