"""The soak's judge: `python -m tests.soak.judge FOLDER`. Reads chain and raw files, and says one line.

The folder holds `case.json` (where the chain is, who had what at first), a folder for each node with its
database, and for each renter the payments that its farmers have acknowledged to it.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.judge.books import Books, read_farmer, read_renter
from tests.judge.chain import Chain
from tests.judge.laws import (
    AT_REST,
    Evidence,
    acked_survives,
    claim_before_deadline,
    judge,
    one_audit_one_increment,
)

READS_REMEMBERED: Final = 64
"""Reads of a channel that a farmer keeps on disk."""


def examine(folder: Path) -> dict[str, Any]:
    """Judge everything there is."""
    case = json.loads((folder / "case.json").read_text())
    chain = Chain(
        case["url"], case["chain_id"], bytes.fromhex(case["contract"]), bytes.fromhex(case["token"])
    )
    evidence = Evidence(
        chain,
        chain.replay(),
        tuple(read_renter(folder / name / "money.db") for name in case["renters"]),
        tuple(read_farmer(folder / path) for path in case["farmers"]),
        case["max_exposure"],
        case["read_price"],
    )
    acknowledged = {name: _acknowledged(folder / name / "acknowledged") for name in case["renters"]}
    lost = [*acked_survives(evidence), *lost_payments(evidence, acknowledged)]
    twice = list(one_audit_one_increment(evidence))
    wrongly = list(paid_wrongly(evidence))
    passed = sum(1 for renter in evidence.renters for audit in renter.audits if audit.passed)
    missed = list(claim_before_deadline(evidence))
    breaches = [*judge(evidence, AT_REST), *lost, *wrongly, *missed, *unseen(evidence)]
    channels = evidence.events.values()
    return {
        "channels": len(channels),
        "closed": sum(1 for one in channels if one.closes_at),
        "withdrawn": sum(1 for one in channels if one.withdrawn),
        "vouchers_acknowledged": passed + sum(map(len, acknowledged.values())),
        "vouchers_lost": len(lost),
        "paid_twice": len(twice),
        "tokens_unaccounted": unaccounted(evidence, case["held_at_first"]),
        "audits_paid_wrongly": len(wrongly),
        "deadlines_missed": len(missed),
        "breaches": breaches,
    }


def _acknowledged(path: Path) -> list[tuple[bytes, int]]:
    """Payments that were acknowledged: channel and total. The last line may be torn."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [(bytes.fromhex(channel), int(total)) for channel, total in (line.split() for line in lines)]


def lost_payments(evidence: Evidence, acknowledged: dict[str, list[tuple[bytes, int]]]) -> Iterator[str]:
    held = {channel: max(its.paid, its.claimed) for channel, _, its in evidence.pairs()}
    for name, payments in acknowledged.items():
        for channel, total in payments:
            if held.get(channel, 0) < total:
                yield f"{name} was told that {total} had come, {held.get(channel, 0)} is there"


def paid_wrongly(evidence: Evidence) -> Iterator[str]:
    """Channels whose passed audits are not what was paid: too little by vouchers, too much on chain."""
    for renter in evidence.renters:
        worth = _worth(renter)
        for channel, mine, its in evidence.pairs():
            if channel not in renter.sides:
                continue
            reads = sum(price for farmer in evidence.farmers for price in farmer.reads.get(channel, ()))
            claimed = evidence.events[channel].claimed if channel in evidence.events else 0
            if not worth[channel] <= max(its.paid, its.claimed) <= worth[channel] + reads:
                yield f"{renter.name} passed {worth[channel]}, read for {reads}, paid {mine.paid}"
            if claimed > worth[channel] + reads:
                yield f"{claimed} was claimed for {worth[channel]} of audits and {reads} of reads"


def unseen(evidence: Evidence) -> Iterator[str]:
    """Channels in which a farmer may have sold reads that it has forgotten."""
    for farmer in evidence.farmers:
        for channel, reads in farmer.reads.items():
            if len(reads) >= READS_REMEMBERED:
                yield f"{farmer.name} has sold too many reads in {channel.hex()[:16]} to be judged"


def _worth(renter: Books) -> defaultdict[bytes, int]:
    worth: defaultdict[bytes, int] = defaultdict(int)
    for audit in renter.audits:
        worth[audit.channel] += sum(audit.passed.values())
    return worth


def unaccounted(evidence: Evidence, held_at_first: dict[str, int]) -> int:
    """Tokens that are not where the events say: in the contract, with payees, with payers."""
    there: defaultdict[bytes, int] = defaultdict(int)
    for owner, amount in held_at_first.items():
        there[bytes.fromhex(owner)] += amount
    contract = evidence.chain.contract
    for one in evidence.events.values():
        there[contract] += one.deposit - one.claimed - one.withdrawn
        there[one.payee] += one.claimed
        there[one.payer] -= one.deposit - one.withdrawn
    return sum(abs(evidence.chain.balance(owner) - amount) for owner, amount in there.items())


if __name__ == "__main__":
    print(json.dumps(examine(Path(sys.argv[1]))))  # noqa: T201
