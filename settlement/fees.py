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
    return _with_room(replace(current, cap=min(current.cap, ceiling)), ceiling)


def raised(last: Fees, current: Fees, ceiling: int) -> Fees:
    """The fees of the next attempt: an eighth above the last at least (pools want a tenth).

    Raises FeeAboveCeiling when a unit costs more now, or the ceiling leaves no room for an eighth.
    """
    wanted = affordable(current, ceiling)
    cap = max(_dearer(last.cap), wanted.cap)
    if cap > ceiling:
        raise FeeAboveCeiling(cap, ceiling)
    if last.priority is None:
        return Fees(cap, None)
    priority = min(cap, max(_dearer(last.priority), current.priority or 0))
    return _with_room(Fees(cap, priority), ceiling)


def _with_room(fees: Fees, ceiling: int) -> Fees:
    """Go up to the ceiling at once where no further raise would fit below it.

    Prices between would be out of reach. A cap costs nothing by itself: what a block asks for is paid.
    """
    if fees.priority is None or _dearer(fees.cap) <= ceiling:
        return fees
    return replace(fees, cap=ceiling)


def _dearer(fee: int) -> int:
    """An eighth more: what every pool takes for a replacement."""
    return fee + fee // 8 + 1
