"""Churn, played out: farmers of one segment die, are missed, are replaced, until too few are left.

Knows nothing of the model: it keeps a calendar of what happens to each farmer, and audits as a renter does.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random


@dataclass(frozen=True)
class Setting:
    """A segment and its world; times in any one unit.

    notice: how long it takes to miss a farmer that has died. work: how long a repair takes.
    """

    k: int
    n: int
    threshold: int
    lifetime: float
    notice: Callable[[Random], float]
    work: float = 0.0


def audited(interval: float, grace: float) -> Callable[[Random], float]:
    """A dead farmer is found at its next audit, somewhere in an interval, and missed after the grace."""
    return lambda dice: dice.uniform(0, interval) + grace


def memoryless(mean: float) -> Callable[[Random], float]:
    """It takes an exponential time."""
    return lambda dice: dice.expovariate(1 / mean)


def life(setting: Setting, dice: Random) -> float:
    """How long one segment lasts."""
    calendar: list[tuple[float, int, str]] = []
    tickets = count()

    def plan(at: float, what: str) -> None:
        heapq.heappush(calendar, (at, next(tickets), what))

    for _ in range(setting.n):
        plan(dice.expovariate(1 / setting.lifetime), "death")
    alive, missed, repairing = setting.n, 0, 0
    while True:
        now, _, what = heapq.heappop(calendar)
        if what == "death":
            alive -= 1
            if alive < setting.k:
                return now
            plan(now + setting.notice(dice), "missed")
        elif what == "missed":
            missed += 1
        else:
            alive, missed = alive + repairing, missed - repairing
            for _ in range(repairing):
                plan(now + dice.expovariate(1 / setting.lifetime), "death")
            repairing = 0
        if not repairing and setting.n - missed < setting.threshold:
            repairing = missed
            plan(now + setting.work, "repaired")
