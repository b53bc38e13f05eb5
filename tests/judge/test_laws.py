"""Each law can fail: evidence that keeps all of them is tampered with, one figure at a time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.judge.books import Audit, Books, Queued, Side, Signed
from tests.judge.chain import _VOUCHER, Chain, OnChain, _fields
from tests.judge.laws import AT_REST, Evidence, judge

CHANNEL = b"\x01" * 32
SIGNER = Account.from_key(b"\x07" * 32)
CONDITION = b"\x99" * 32
AGREEMENT = b"\x06" * 32
SENDER = b"\x09" * 20
FINAL = b"\x0a" * 32


class KnownChain(Chain):
    """A chain of which all that is asked here is known."""

    def nonce(self, sender: bytes, block: str = "latest") -> int:
        assert (sender, block) == (SENDER, "latest")
        return 2

    def succeeded(self, transaction: bytes) -> bool | None:
        return True if transaction == FINAL else None


CHAIN = KnownChain("http://nowhere", 31_337, b"\x0c" * 20, b"\x0d" * 20)


def signed(total: int, condition: bytes = bytes(32)) -> Signed:
    voucher = {"channelId": CHANNEL, "cumulativeAmount": total, "condition": condition}
    message = encode_typed_data(CHAIN._domain, {"Voucher": _fields(_VOUCHER)}, voucher)
    found = SIGNER.sign_message(message)
    packed = found.s | (found.v - 27) << 255
    return Signed(CHANNEL, total, condition, found.r.to_bytes(32) + packed.to_bytes(32))


WHO = bytes.fromhex(SIGNER.address[2:])
MINE = Side(WHO, 1_000, 50, 130, 110, 0, "funded", paid=110, delivered=100)
ITS = Side(WHO, 1_000, 50, 120, 110, 0, "funded", paid=110, proven=120)
OUTBOX = (Queued(SENDER, "done", 0, FINAL), Queued(SENDER, "sent", 1, None))


def lawful(before: Evidence | None = None) -> Evidence:
    """One channel: ten audits of 10 passed, another is proven and not paid, a read of 10 was sold."""
    passed = [Audit(CHANNEL, 10, 10, bytes([n]) * 32, False, {AGREEMENT: 10}) for n in range(10)]
    waiting = Audit(CHANNEL, 10, 120, CONDITION, True)
    renter = Books(
        "renter",
        {CHANNEL: MINE},
        (signed(110), signed(120, CONDITION)),
        OUTBOX,
        (*passed, waiting),
        stored=frozenset({AGREEMENT}),
    )
    farmer = Books(
        "farmer",
        {CHANNEL: ITS},
        (signed(110), signed(120, CONDITION)),
        (),
        reads={CHANNEL: [10]},
        stored=frozenset({AGREEMENT}),
    )
    events = {CHANNEL: OnChain(b"", b"", deposit=1_000, claimed=50)}
    return Evidence(CHAIN, events, (renter,), (farmer,), 10, 10, before=before)


def renter(evidence: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - a field
    return replace(evidence, renters=(replace(evidence.renters[0], **changes),))


def farmer(evidence: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - a field
    return replace(evidence, farmers=(replace(evidence.farmers[0], **changes),))


def mine(evidence: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - a field
    return renter(evidence, sides={CHANNEL: replace(MINE, **changes)})


def its(evidence: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - a field
    return farmer(evidence, sides={CHANNEL: replace(ITS, **changes)})


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
