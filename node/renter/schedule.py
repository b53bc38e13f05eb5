"""When agreements are audited: a pure calendar, the same after a restart as before it.

An agreement is audited once in each of its intervals after the first: interval `i` begins at start + i
* audit interval, and its audit is due from that moment. What was missed stays missed (a missed audit is
a missed payment): after a pause each agreement is due once, for the interval that runs. The last audit
is due a margin before the end, so that the farmer can still answer it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from payments.types import NodeId, Seconds, Timestamp

DAY: Final = Seconds(86_400)
LEAST_MARGIN: Final = Seconds(3_600)
"""Time after the last audit in which a farmer may still answer, where the interval is long enough."""


@dataclass(frozen=True, slots=True)
class Duty:
    """An agreement as the calendar sees it. `audited`: the last interval that had its audit (0: none)."""

    agreement: bytes
    farmer: NodeId
    start: Timestamp
    end: Timestamp
    interval: Seconds
    audited: int = 0

    def interval_at(self, now: Timestamp) -> int:
        """Number of the interval that runs at `now`, 0 before the first audit is due."""
        return max(0, (now - self.start) // self.interval)

    def is_due(self, now: Timestamp) -> bool:
        """Tell whether the interval that runs has not had its audit yet."""
        return now < self.end and self.interval_at(now) > self.audited

    def due_at(self, now: Timestamp) -> Timestamp | None:
        """When the next audit is due: `now` if it is due already, None if there is none before the end."""
        if now >= self.end:
            return None
        if self.is_due(now):
            return now
        at = self.start + (max(self.audited, self.interval_at(now)) + 1) * self.interval
        return Timestamp(at) if at < self.end else None


def due(duties: Iterable[Duty], now: Timestamp) -> dict[NodeId, tuple[Duty, ...]]:
    """Group the agreements that are due by farmer: one challenge for each group."""
    groups: defaultdict[NodeId, list[Duty]] = defaultdict(list)
    for duty in duties:
        if duty.is_due(now):
            groups[duty.farmer].append(duty)
    return {farmer: tuple(group) for farmer, group in groups.items()}


def next_due(duties: Iterable[Duty], now: Timestamp) -> Timestamp | None:
    """When the next of these audits is due, None when there is none left."""
    return min((at for duty in duties if (at := duty.due_at(now)) is not None), default=None)


def agreement_end(
    start: Timestamp, interval: Seconds, wanted: Seconds, response_deadline: Seconds, longest: Seconds
) -> Timestamp:
    """Choose the end of an agreement that covers `wanted` seconds, or as much of it as the farmer offers.

    Whole intervals, and after the last audit a margin for its answer: three response deadlines, at least an
    hour, always less than an interval.
    """
    margin = min(interval - 1, max(3 * response_deadline, LEAST_MARGIN))
    intervals = max(1, -(-wanted // interval))
    affordable = (longest - margin) // interval
    if affordable < 1:
        return Timestamp(start + longest)
    return Timestamp(start + min(intervals, affordable) * interval + margin)
