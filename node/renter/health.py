"""Health: which shards of a segment count, when it is to be repaired, and which segment is worst off. Pure.

A shard counts as healthy until its farmer has failed an audit of it, has left our audits unanswered for
longer than the agreed grace, has gone unpaid for so long that it may delete it, is forgotten, or has an
agreement that ends soon and was not renewed. A segment is to be repaired when fewer shards are healthy than
its threshold: 52 for 29 of 80, the same share of n and of n - k, rounded up, for every other code, so always
at least one more than k where the code has any to spare.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from node.audit import Outcome
from node.db.renter_shards import ShardRecord
from node.renter.safety import NOTHING_AHEAD, Keeping, Prepaid
from node.renter.schedule import DAY
from payments.types import NodeId, Seconds, Timestamp

_KEPT, _SPARE = 23, 51
"""Of the 51 shards that 29 of 80 can do without, a segment that need not be repaired has 23 left."""
_HEALTHY, _ALL = 52, 80
"""So many of all: what a code with a small k needs to be about as safe, 13 for 1 of 20."""
RENEWED: Final = Seconds(14 * DAY)
"""So long before its end an agreement is renewed; before the last third of a short one."""
LEAST_RISK: Final = 0.02
"""How likely a farmer that answers always is not there the next time we ask."""
AWAY_RISK: Final = 0.5
"""The same of one that did not answer the last time."""


class Standing(Enum):
    """How one shard stands."""

    HEALTHY = "healthy"
    AWAY = "away"
    """Its farmer does not answer, for less than the grace: it counts as healthy."""
    MISSING = "missing"
    """Its farmer has not answered for longer than the grace, or was forgotten."""
    UNPAID = "unpaid"
    """We could not audit it, as a rule for want of money, for so long that its farmer may have deleted it."""
    ENDING = "ending"
    """Its agreement is over, or soon, and was not renewed."""
    LOST = "lost"
    """Its farmer has failed an audit of it."""

    @property
    def counts(self) -> bool:
        """Whether such a shard counts as healthy."""
        return self in {Standing.HEALTHY, Standing.AWAY}


class Condition(Enum):
    """How a segment, or a file, stands, in a word."""

    GOOD = "good"
    WEAK = "weak"
    """To be repaired."""
    LOST = "too few shards"
    """Fewer than k count: it comes back only if farmers do."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the shards themselves.

    peers: the farmers we know; those that were forgotten are asked nothing any more. away: since when an
    agreement's audits go unanswered, for those that do. scores: how often each farmer
    answers, from 0 to 1; one that is not here has never been asked. kept_until: until when each file is
    to be kept, for those that have an end. prepaid: storage time paid ahead, by farmer.
    """

    now: Timestamp
    peers: Collection[NodeId]
    away: Mapping[bytes, Timestamp]
    scores: Mapping[NodeId, float]
    kept_until: Mapping[bytes, Timestamp]
    prepaid: Mapping[NodeId, Prepaid] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentHealth:
    """One segment: how many shards are healthy, needed, and enough; `missing` are the indices to rebuild.

    slack: how many audits of all its farmers it is expected to survive without repair; the least is in the
    greatest danger.
    """

    segment: int
    k: int
    n: int
    threshold: int
    healthy: int
    missing: tuple[int, ...]
    slack: float

    @property
    def condition(self) -> Condition:
        """How it stands."""
        if self.healthy < self.k:
            return Condition.LOST
        return Condition.GOOD if self.healthy >= self.threshold else Condition.WEAK


def repair_threshold(k: int, n: int) -> int:
    """Say how many shards must be healthy for a segment to be left alone: 29 of 80 -> 52, 1 of 20 -> 13."""
    return max(k + -(-(n - k) * _KEPT // _SPARE), -(-n * _HEALTHY // _ALL))


def standing(shard: ShardRecord, known: Known) -> Standing:
    """Judge one shard."""
    if shard.lost:
        return Standing.LOST
    if wanted_longer(shard, known) and known.now >= _given_up_from(shard):
        return Standing.ENDING
    if shard.agreement.farmer not in known.peers:
        return Standing.MISSING
    if shard.outcome is Outcome.UNCHECKED and known.now > keeping(shard, known.prepaid).kept_until:
        return Standing.UNPAID
    since = known.away.get(shard.agreement_id)
    if since is None:
        return Standing.HEALTHY
    return Standing.AWAY if known.now - since <= shard.agreement.grace else Standing.MISSING


def keeping(shard: ShardRecord, prepaid: Mapping[NodeId, Prepaid]) -> Keeping:
    """Say how a shard is paid."""
    terms = shard.agreement
    ahead = prepaid.get(terms.farmer, NOTHING_AHEAD)
    return Keeping(shard.paid_until, terms.audit_interval, terms.grace, terms.end, ahead)


def segment_health(
    segment: int, k: int, n: int, shards: Iterable[ShardRecord], known: Known
) -> SegmentHealth:
    """Judge a segment by its shards, of which each index has one at most."""
    risks = {
        shard.index: _risk(found, known.scores.get(shard.agreement.farmer, 1.0))
        for shard in shards
        if (found := standing(shard, known)).counts
    }
    missing = tuple(index for index in range(n) if index not in risks)
    slack = (len(risks) - k) / sum(risks.values()) if risks else -float(k)
    return SegmentHealth(segment, k, n, repair_threshold(k, n), len(risks), missing, slack)


def file_condition(segments: Sequence[SegmentHealth]) -> Condition:
    """Say how the worst segment stands."""
    found = {segment.condition for segment in segments}
    return next((one for one in (Condition.LOST, Condition.WEAK) if one in found), Condition.GOOD)


def to_be_renewed(shard: ShardRecord, known: Known) -> bool:
    """Tell whether a shard that is healthy wants a new agreement now.

    In its last days, and best just after a passed audit, for the time since then would go unpaid.
    """
    terms, now = shard.agreement, known.now
    if standing(shard, known) is not Standing.HEALTHY or not wanted_longer(shard, known):
        return False
    begins = terms.end - _notice(shard)
    hurry = now >= terms.end - _notice(shard) * 3 // 4
    return now >= begins and (hurry or now - shard.paid_until <= terms.audit_interval // 10)


def wanted_longer(shard: ShardRecord, known: Known) -> bool:
    """Tell whether its file is to be kept for longer than the agreement runs."""
    until = known.kept_until.get(shard.file_id)
    return until is None or (shard.agreement.end < until and known.now < until)


def _notice(shard: ShardRecord) -> int:
    """How long before its end an agreement is to be renewed, in seconds."""
    terms = shard.agreement
    return min(RENEWED, (terms.end - terms.start) // 3)


def _given_up_from(shard: ShardRecord) -> int:
    """From when it is not expected to be renewed any more: half of that time is left for the repair."""
    return shard.agreement.end - _notice(shard) // 2


def _risk(found: Standing, score: float) -> float:
    return max(AWAY_RISK if found is Standing.AWAY else LEAST_RISK, 1 - score)
