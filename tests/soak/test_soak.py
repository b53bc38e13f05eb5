"""The soak in its short form, and its judge: what it counts, it can count."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.judge.lawful import CHANNEL, PAYEE, PAYER, farmer, its, lawful
from tests.judge.laws import Evidence, claim_before_deadline
from tests.soak.judge import (
    READS_REMEMBERED,
    lost_payments,
    paid_wrongly,
    unaccounted,
    unseen,
)

SOAK = Path(__file__).parents[2] / "scripts" / "soak"
MINUTES = 0.3
HELD = {PAYER.hex(): 5_000, PAYEE.hex(): 0}


def test_nothing_is_lost_or_paid_twice_whoever_dies() -> None:
    done = subprocess.run(
        [SOAK, "--seed", "11", "--minutes", str(MINUTES)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["vouchers_lost"] == line["paid_twice"] == 0
    assert line["tokens_unaccounted"] == line["audits_paid_wrongly"] == 0
    assert line["deadlines_missed"] == 0
    assert line["withdrawn"] >= 1
    assert line["kills"] >= 4
    assert 2 * line["kills_in_flight"] >= line["kills"]
    assert line["vouchers_acknowledged"] >= 60 * MINUTES


def paid_up(evidence: Evidence) -> Evidence:
    """The same with everything paid: nothing is proven beyond it."""
    return its(evidence, proven=0)


def test_judge_is_content_with_what_is_paid_up() -> None:
    evidence = paid_up(lawful())
    assert list(lost_payments(evidence, {"renter": [(CHANNEL, 110)]})) == []
    assert list(paid_wrongly(evidence)) == []
    assert unaccounted(evidence, HELD) == 0


def test_judge_misses_an_acknowledged_payment_that_is_gone() -> None:
    assert len(list(lost_payments(paid_up(lawful()), {"renter": [(CHANNEL, 110), (CHANNEL, 111)]}))) == 1


@pytest.mark.parametrize(
    "tamper",
    [
        lambda evidence: its(evidence, paid=99),
        lambda evidence: its(evidence, paid=111),
        lambda evidence: replace(evidence, events={CHANNEL: replace(evidence.events[CHANNEL], claimed=111)}),
    ],
    ids=["too little", "too much", "claimed too much"],
)
def test_judge_sees_audits_paid_wrongly(tamper: Callable[[Evidence], Evidence]) -> None:
    assert list(paid_wrongly(tamper(lawful()))) != []


def test_judge_misses_every_token() -> None:
    evidence = paid_up(lawful())
    assert unaccounted(evidence, HELD | {PAYER.hex(): 5_001}) == 1
    more = replace(evidence, events={CHANNEL: replace(evidence.events[CHANNEL], withdrawn=7)})
    assert unaccounted(more, HELD) == 14


def test_judge_misses_a_claim_that_came_too_late() -> None:
    def withdrawn(claimed: int) -> Evidence:
        ended = replace(lawful().events[CHANNEL], claimed=claimed, withdrawn=1_000 - claimed)
        return replace(paid_up(lawful()), events={CHANNEL: ended})

    assert list(claim_before_deadline(paid_up(lawful()))) == []
    assert list(claim_before_deadline(withdrawn(110))) == []
    assert len(list(claim_before_deadline(withdrawn(109)))) == 1


def test_judge_says_so_when_reads_may_have_been_forgotten() -> None:
    assert list(unseen(farmer(lawful(), reads={CHANNEL: [10] * (READS_REMEMBERED - 1)}))) == []
    assert len(list(unseen(farmer(lawful(), reads={CHANNEL: [10] * READS_REMEMBERED})))) == 1
