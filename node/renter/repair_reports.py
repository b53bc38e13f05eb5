"""What the repairs tell: values only."""

from dataclasses import dataclass
from enum import Enum

from node.renter.health import SegmentHealth
from node.renter.reports import Fault
from payments.types import Amount


class Ending(Enum):
    """How the repair of a segment has ended."""

    REPAIRED = "repaired"
    PARTLY = "repaired in part: not enough farmers are left that hold no shard of it"
    NOT_NEEDED = "not needed any more: enough farmers came back"
    NO_FARMER = "no funded farmer is left that holds no shard of it: add some (tithe peers add)"
    UNREADABLE = "too few of its shards could be read"
    CAPPED = "waits: the day's traffic is used up"
    CAP_TOO_SMALL = "moves more than a day's traffic: raise the cap (tithe rent run --repair-cap)"


@dataclass(frozen=True, slots=True)
class PlannedRepair:
    """A segment to be repaired: how many bytes that moves, and about what reading its shards costs.

    What the new farmers ask for keeping the shards is known when they are chosen.
    """

    file: str
    health: SegmentHealth
    bytes: int
    price: Amount


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What came of one repair. rebuilt: shards with new farmers. bytes: moved. paid: for reading."""

    file: str
    segment: int
    ending: Ending
    rebuilt: int = 0
    bytes: int = 0
    paid: Amount = Amount(0)  # noqa: RUF009 - a NewType is no call at run time
    faults: tuple[Fault, ...] = ()
