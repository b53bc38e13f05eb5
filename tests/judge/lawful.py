"""Lawful evidence: one channel of one renter and one farmer that keeps every law, to be tampered with."""

from dataclasses import replace
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.judge.books import Audit, Books, Queued, Side, Signed
from tests.judge.chain import _VOUCHER, Chain, OnChain, _fields
from tests.judge.laws import Evidence

CHANNEL = b"\x01" * 32
SIGNER = Account.from_key(b"\x07" * 32)
CONDITION = b"\x99" * 32
AGREEMENT = b"\x06" * 32
SENDER = b"\x09" * 20
FINAL = b"\x0a" * 32
PAYER = b"\x0e" * 20
PAYEE = b"\x0f" * 20
CONTRACT = b"\x0c" * 20
BALANCES = {CONTRACT: 950, PAYER: 4_000, PAYEE: 50}
"""Where the tokens are: 1,000 of 5,000 deposited, 50 of them claimed."""


class KnownChain(Chain):
    """A chain of which all that is asked here is known."""

    def nonce(self, sender: bytes, block: str = "latest") -> int:
        assert (sender, block) == (SENDER, "latest")
        return 2

    def balance(self, owner: bytes) -> int:
        return BALANCES.get(owner, 0)

    def succeeded(self, transaction: bytes) -> bool | None:
        return True if transaction == FINAL else None


CHAIN = KnownChain("http://nowhere", 31_337, CONTRACT, b"\x0d" * 20)


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
    events = {CHANNEL: OnChain(PAYEE, PAYER, deposit=1_000, claimed=50)}
    return Evidence(CHAIN, events, (renter,), (farmer,), 10, 10, before=before)


def renter(evidence: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - a field
    return replace(evidence, renters=(replace(evidence.renters[0], **changes),))


def farmer(evidence: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - a field
    return replace(evidence, farmers=(replace(evidence.farmers[0], **changes),))


def mine(evidence: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - a field
    return renter(evidence, sides={CHANNEL: replace(MINE, **changes)})


def its(evidence: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - a field
    return farmer(evidence, sides={CHANNEL: replace(ITS, **changes)})
