"""What gas will cost later today, told by what it cost in each hour of the day before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from payments.types import Timestamp

HOUR: Final = 3_600
HOURS: Final = 24
WORTH_WAITING: Final = 80
"""An hour is worth waiting for when gas costs at most so much of today's price then, in percent."""


@dataclass(frozen=True, slots=True)
class Cheaper:
    """From `at` on gas is expected to cost `percent` of what it costs now."""

    at: Timestamp
    percent: int


def cheaper_hour(hours: Sequence[int | None], now: Timestamp, price: int) -> Cheaper | None:
    """Find the cheapest of the hours ahead, if it is worth waiting for.

    hours: wei a unit of gas cost in each hour (UTC) of the last day, None where nothing is known; `price`:
    what it costs now. Raises ValueError unless there are 24.
    """
    if len(hours) != HOURS:
        raise ValueError(f"a day has {HOURS} hours, not {len(hours)}")
    this_hour = now // HOUR
    ahead = [
        (cost, this_hour + later)
        for later in range(1, HOURS)
        if (cost := hours[(this_hour + later) % HOURS]) is not None
    ]
    cost, hour = min(ahead, default=(price, 0))
    percent = -(-cost * 100 // price) if price else 100
    return Cheaper(Timestamp(hour * HOUR), percent) if percent <= WORTH_WAITING else None
