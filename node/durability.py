"""Durability: how long a segment lives among farmers that leave for good, by a Markov chain. Pure.

A segment has n shards with n farmers; any k give it back. Each farmer is gone after an exponential time of
mean `lifetime`, independently of all others. A lost shard is noticed and made good after `delay`; shards are
made good together, as soon as so many are known to be missing that fewer than `threshold` are healthy. The
segment is lost when fewer than k shards are left.

State of the chain: `unnoticed` lost shards and `noticed` ones. A loss comes at rate (n - unnoticed -
noticed) / lifetime; each unnoticed one becomes noticed at rate 1 / delay; n - threshold + 1 noticed ones are
replaced. Between two repairs `noticed` only grows, so that a cycle is walked through in order; the chain of
cycles is solved by the elimination of Grassmann, Taksar and Heyman (Operations Research 33, 1985). Both add
and multiply what is positive and subtract nothing: probabilities of 1e-30 keep their digits. The time until
a loss, so rare from wherever it starts, is exponential (Keilson, Markov Chain Models: Rarity and
Exponentiality, 1979).

The delay is taken as exponential, shard by shard. That its true shape is another hardly matters: how many
shards are lost and not noticed at a moment has one distribution for all delays of this mean (queues with
infinitely many servers are insensitive). tests/durability holds the model against a simulation of true ones.
"""

import math
from dataclasses import dataclass
from typing import Final

YEAR: Final = 365.25 * 86_400


@dataclass(frozen=True, slots=True)
class Risk:
    """What a segment is exposed to: its code, when it is repaired, times in seconds.

    lifetime: mean time until a farmer is gone for good. delay: mean time from then until its shard is with
    another one: to notice it, the grace, the repair. Needs 1 <= k < threshold <= n and positive times.
    """

    k: int
    n: int
    threshold: int
    lifetime: float
    delay: float

    def __post_init__(self) -> None:
        """Raise ValueError for what is no such risk."""
        if not 1 <= self.k < self.threshold <= self.n:
            raise ValueError(f"k {self.k} < threshold {self.threshold} <= n {self.n} does not hold")
        if not (self.lifetime > 0 and self.delay > 0):
            raise ValueError("lifetime and delay must be positive")

    @property
    def fatal(self) -> int:
        """Lost shards with which the segment is lost."""
        return self.n - self.k + 1

    @property
    def batch(self) -> int:
        """Noticed losses that are made good together."""
        return self.n - self.threshold + 1


@dataclass(frozen=True, slots=True)
class _Cycle:
    """From just after a repair: mean time to the next one or the loss, how likely is which."""

    time: float
    loss: float
    next: list[float]
    """How likely the next repair leaves so many unnoticed losses."""


def mean_time_to_loss(risk: Risk) -> float:
    """Compute the mean time, in seconds, until a segment that was just stored is lost; inf above 1e300."""
    cycles = [_walk(risk, unnoticed) for unnoticed in range(risk.fatal)]
    times = [cycle.time for cycle in cycles]
    losses = [cycle.loss for cycle in cycles]
    rows = [cycle.next for cycle in cycles]
    for last in range(risk.fatal - 1, 0, -1):
        leaves = losses[last] + math.fsum(rows[last][:last])
        for before in range(last):
            weight = rows[before][last] / leaves
            times[before] += weight * times[last]
            losses[before] += weight * losses[last]
            for to in range(last):
                rows[before][to] += weight * rows[last][to]
    return times[0] / losses[0] if losses[0] else math.inf


def loss_within(risk: Risk, seconds: float, segments: int = 1) -> float:
    """Compute the probability that any of so many independent segments is lost within this time."""
    return -math.expm1(-seconds * segments / mean_time_to_loss(risk))


def nines(probability: float) -> float:
    """Say how many nines the complement of a probability has: 0.001 -> 3; inf for 0."""
    return -math.log10(probability) if probability else math.inf


def _walk(risk: Risk, start: int) -> _Cycle:
    """Walk through the states of a cycle that begins with so many unnoticed losses."""
    time = loss = 0.0
    following = [0.0] * risk.fatal
    here = [0.0] * risk.fatal
    here[start] = 1.0
    for noticed in range(risk.batch):
        there = following if noticed + 1 == risk.batch else [0.0] * risk.fatal
        for unnoticed in range(risk.fatal - noticed):
            gone = (risk.n - unnoticed - noticed) / risk.lifetime
            seen = unnoticed / risk.delay
            weight = here[unnoticed] / (gone + seen)
            time += weight
            if unnoticed + noticed + 1 == risk.fatal:
                loss += weight * gone
            else:
                here[unnoticed + 1] += weight * gone
            if unnoticed:
                there[unnoticed - 1] += weight * seen
        here = there
    return _Cycle(time, loss, following)
