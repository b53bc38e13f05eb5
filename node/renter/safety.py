"""Until when a file is safe if its renter never comes back.

A farmer is paid audit by audit. It may stop serving once one audit interval has gone by unpaid (it
chooses its own exposure limit, and one interval is the least that makes sense) and deletes after the
grace. So its shard is safe until

    last paid audit (or the agreement's start) + what is prepaid + one audit interval + grace

and never beyond the agreement's end. A segment is safe as long as k of its farmers keep their shards:
until the k-th latest of these times. A file is safe as long as each of its segments is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from payments.types import Amount, Seconds, Timestamp


@dataclass(frozen=True, slots=True)
class Prepaid:
    """Storage time paid ahead in a channel: so many `seconds`, as of `at`."""

    seconds: Seconds
    at: Timestamp

    def left(self, paid_until: Timestamp) -> Seconds:
        """How much of it is left for the time after `paid_until`; time that has passed counts as used up."""
        return Seconds(max(0, self.seconds - max(0, paid_until - self.at)))

    def extended(self, seconds: Seconds, now: Timestamp) -> "Prepaid":
        """Add time paid ahead at `now`."""
        return Prepaid(Seconds(self.seconds + seconds), self.at) if self.left(now) else Prepaid(seconds, now)

    def shared(self, before: Amount, after: Amount, now: Timestamp) -> "Prepaid":
        """More is stored from `now` on (rates in base units a month): what is left lasts so much shorter."""
        left = self.left(now)
        if not left or after <= before:
            return self
        return Prepaid(Seconds(max(0, now - self.at) + left * before // after), self.at)


NOTHING_AHEAD: Final = Prepaid(Seconds(0), Timestamp(0))


@dataclass(frozen=True, slots=True)
class Keeping:
    """One healthy shard, and until when its farmer is paid for it (`paid_until`), `prepaid` not counted."""

    paid_until: Timestamp
    interval: Seconds
    grace: Seconds
    end: Timestamp
    prepaid: Prepaid

    @property
    def kept_until(self) -> Timestamp:
        """The earliest time at which this farmer may delete the shard."""
        covered_until = self.paid_until + self.prepaid.left(self.paid_until)
        return Timestamp(min(self.end, covered_until + self.interval + self.grace))


def segment_safe_until(k: int, keepings: Iterable[Keeping]) -> Timestamp:
    """The time until which k of these shards are kept; 0 when fewer than k are healthy."""
    times = sorted((keeping.kept_until for keeping in keepings), reverse=True)
    return times[k - 1] if len(times) >= k else Timestamp(0)


def file_safe_until(k: int, segments: Sequence[Iterable[Keeping]]) -> Timestamp:
    """The time until which every segment of the file can be read back."""
    return min((segment_safe_until(k, keepings) for keepings in segments), default=Timestamp(0))
