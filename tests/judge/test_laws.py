"""Each law can fail: evidence that keeps all of them is tampered with, one figure at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.judge.books import Queued
from tests.judge.lawful import OUTBOX, SENDER, farmer, its, lawful, mine, renter, signed
from tests.judge.laws import AT_REST, Evidence, judge


def foreign(evidence: Evidence) -> Evidence:
    wrong = replace(signed(110), total=111)
    return renter(evidence, vouchers=(wrong,))


CRIMES: list[tuple[str, str, Callable[[Evidence], Evidence]]] = [
    ("over the deposit", "SIGNED_LE_FUNDED", lambda e: renter(e, vouchers=(signed(1_001),))),
    ("signed by nobody", "SIGNED_LE_FUNDED", foreign),
    ("not written down", "SIGNED_LE_FUNDED", lambda e: mine(e, signed=115)),
    ("an audit twice", "ONE_AUDIT_ONE_INCREMENT", lambda e: mine(e, accepted=120)),
    ("an audit for nothing", "ONE_AUDIT_ONE_INCREMENT", lambda e: mine(e, accepted=99)),
    (
        "one proof for two",
        "ONE_AUDIT_ONE_INCREMENT",
        lambda e: renter(e, audits=(*e.renters[0].audits, replace(e.renters[0].audits[0], passed={}))),
    ),
    ("a payment lost", "ACKED_SURVIVES", lambda e: its(e, paid=99)),
    ("a proof lost", "ACKED_SURVIVES", lambda e: its(e, paid=100, proven=100)),
    ("a shard lost", "ACKED_SURVIVES", lambda e: farmer(e, stored=frozenset())),
    ("a total lower", "NEVER_REGRESS", lambda e: mine(e, signed=129)),
    ("a channel gone", "NEVER_REGRESS", lambda e: farmer(e, sides={}, vouchers=())),
    ("lent too much", "EXPOSURE_CAP", lambda e: its(e, proven=121)),
    ("paid too far ahead", "EXPOSURE_CAP", lambda e: mine(e, paid=121)),
    ("paid without an event", "PAID_MEANS_EVENT", lambda e: its(e, claimed=51)),
    (
        "done without a transaction",
        "PAID_MEANS_EVENT",
        lambda e: renter(e, outbox=(replace(OUTBOX[0], final=b"\x0b" * 32), OUTBOX[1])),
    ),
    ("a gap", "NONCE_DENSE", lambda e: renter(e, outbox=(OUTBOX[0], replace(OUTBOX[1], nonce=2)))),
    ("a nonce twice", "NONCE_DENSE", lambda e: renter(e, outbox=(OUTBOX[0], replace(OUTBOX[1], nonce=0)))),
    ("another deposit", "REORG_CONVERGE", lambda e: its(e, deposit=999)),
    ("another claim", "REORG_CONVERGE", lambda e: mine(e, claimed=40)),
    ("frozen for ever", "REORG_CONVERGE", lambda e: its(e, status="frozen")),
    ("never sent", "ALL_SENT", lambda e: renter(e, outbox=(*OUTBOX, Queued(SENDER, "sent", 2, None)))),
]


def test_lawful_evidence_breaks_no_law() -> None:
    assert judge(lawful(before=lawful()), AT_REST) == []


@pytest.mark.parametrize(("crime", "law", "tamper"), CRIMES, ids=[crime[0] for crime in CRIMES])
def test_each_law_is_broken_by_its_crime(
    crime: str, law: str, tamper: Callable[[Evidence], Evidence]
) -> None:
    found = judge(tamper(lawful(before=lawful())), AT_REST)
    assert any(breach.startswith(law) for breach in found), (crime, found)
