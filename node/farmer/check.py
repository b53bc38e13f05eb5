"""The check-up of a farmer: from its vitals to what is wrong, how bad it is, and what to do. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from node.farmer.config import FarmerConfig
from node.farmer.holdings import Holdings
from node.farmer.vitals import Vitals, deadline_sentence
from settlement.outbox import DEFAULT_CEILING

FEW_CLAIMS = 10
"""A gas key that pays for fewer should be filled."""
LATE_BLOCKS = 25
"""A running farmer this far behind does not hear of close requests in time."""


class Level(IntEnum):
    """How bad it is; the exit status of `tithe farm check` is that of the worst."""

    FINE = 0
    ATTENTION = 5
    DANGER = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong. `code`: for programs; `what`: a sentence; `remedy`: what to do about it."""

    code: str
    level: Level
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known beside the vitals: whether it runs, what troubles it, the chain's fault, its disk."""

    running: bool
    holdings: Holdings
    trouble: tuple[str, ...] = ()
    chain_fault: str | None = None


def examine(
    config: FarmerConfig, vitals: Vitals, condition: Condition, show: Callable[[int], str] = str
) -> tuple[Finding, ...]:
    """Find what is wrong, the worst first. `show` writes an amount."""
    found = [
        *_deadlines(vitals, condition, show),
        *_gas(config, vitals),
        *_follows(vitals, condition),
        *_disk(condition.holdings),
        *_troubles(vitals, condition),
    ]
    return tuple(sorted(found, key=lambda one: -one.level))


def worst(findings: tuple[Finding, ...]) -> Level:
    """How bad it is in all."""
    return max((one.level for one in findings), default=Level.FINE)


def _deadlines(vitals: Vitals, condition: Condition, show: Callable[[int], str]) -> list[Finding]:
    found = []
    for deadline in sorted(vitals.deadlines, key=lambda one: one.remaining):
        what = deadline_sentence(deadline, show)
        if not condition.running:
            found.append(
                Finding("DEADLINE_UNATTENDED", Level.DANGER, what, "start the farmer now: tithe farm run")
            )
        elif deadline.short:
            remedy = "see why its claim waits: tithe farm status; or claim by hand: tithe farm claim --all"
            found.append(Finding("DEADLINE_NEAR", Level.DANGER, what, remedy))
    return found


def _gas(config: FarmerConfig, vitals: Vitals) -> list[Finding]:
    found = []
    level = Level.DANGER if vitals.deadlines else Level.ATTENTION
    if vitals.gas_claims is not None and vitals.gas_claims < FEW_CLAIMS:
        what = f"the gas key pays for {vitals.gas_claims} more claims only"
        grave = level if vitals.gas_claims <= len(vitals.deadlines) else Level.ATTENTION
        found.append(Finding("GAS_MONEY_LOW", grave, what, "send it ether; its address: tithe farm status"))
    ceiling = config.max_gas_fee or DEFAULT_CEILING
    if vitals.gas_price is not None and vitals.gas_price > ceiling and vitals.claimable:
        what = f"gas costs {vitals.gas_price} wei a unit, more than the {ceiling} you allow: claims wait"
        remedy = "wait, or allow more: tithe farm settings --max-gas-fee"
        found.append(Finding("GAS_TOO_DEAR", Level.ATTENTION, what, remedy))
    return found


def _follows(vitals: Vitals, condition: Condition) -> list[Finding]:
    if condition.chain_fault is not None:
        level = Level.DANGER if vitals.deadlines else Level.ATTENTION
        remedy = "a close request would go unnoticed: start its node, or name another"
        return [Finding("CHAIN_UNREADABLE", level, condition.chain_fault, remedy)]
    if not condition.running:
        remedy = "start it: tithe farm run"
        return [Finding("NOT_RUNNING", Level.ATTENTION, "the farmer does not run", remedy)]
    if vitals.watcher_lag is not None and vitals.watcher_lag > LATE_BLOCKS:
        what = f"the books lie {vitals.watcher_lag} blocks behind the chain"
        return [Finding("WATCHER_LATE", Level.ATTENTION, what, "see its log; a slow node may be the reason")]
    return []


def _disk(holdings: Holdings) -> list[Finding]:
    if holdings.away is not None:
        remedy = (
            "bring the disk back soon: renters find the farmer offline, and store elsewhere after a while"
        )
        return [Finding("STORE_AWAY", Level.DANGER, holdings.away, remedy)]
    if holdings.lost_lately:
        what = f"{holdings.lost_lately} shards were found damaged or gone in the last 7 days"
        remedy = "look after the disk (smartctl), then read all of it: tithe farm scan"
        return [Finding("SHARDS_LOST", Level.ATTENTION, what, remedy)]
    return []


def _troubles(vitals: Vitals, condition: Condition) -> list[Finding]:
    said = dict.fromkeys((*condition.trouble, *vitals.waiting))
    return [
        Finding("TROUBLE", Level.ATTENTION, one, "see its log and tithe farm status")
        for one in said
        if one not in (condition.chain_fault, condition.holdings.away)
    ]
