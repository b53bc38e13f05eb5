"""The renter's vouchers and its own database: totals only rise, one audit raises them once."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.audit import Answer, Challenge, Item, Outcome, Try, Window, challenge_digest
from node.db import Connection
from node.db.renter_audits import Decision, load_audit, load_decisions, load_open_audits
from node.db.renter_purses import Purse, save_purse
from node.renter import TABLES, money
from node.renter.context import Pen
from node.renter.errors import AuditOpen, Unfunded, UnknownChannel
from payments.channel import CloseRequested, Funded, apply
from payments.eip712 import Domain
from payments.errors import ChannelClosing, WrongSigner
from payments.types import ZERO32, Address, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import SigningKey, Terms, Voucher, sign_voucher, verify_voucher
from settlement.database import Database
from settlement.tables import load_channel, record_channel, save_channel

T = TypeVar("T")
DOMAIN = Domain(31_337, Address(b"c" * 20))
KEY, STRANGER = SigningKey(b"k" * 32), SigningKey(b"x" * 32)
FARMER = NodeId(b"f" * 32)
NOW = Timestamp(1_000)


@dataclass
class Books:
    """One channel of one renter, in a real database."""

    database: Database
    channel: ChannelId
    pen: Pen = field(default_factory=lambda: Pen(DOMAIN, KEY))

    def do(self, work: Callable[[Connection], T]) -> T:
        return self.database.write_sync(work)

    def pay(self, extra: int = 0) -> money.Payment:
        return self.do(lambda conn: money.issue_payment(conn, self.pen, self.channel, Amount(extra)))

    def audit(self, step: int, name: bytes | None = None) -> bytes:
        challenge = challenge_of(name or os.urandom(32))
        self.do(
            lambda conn: money.issue_audit(
                conn,
                self.pen,
                self.channel,
                challenge=challenge,
                step=Amount(step),
                window=Window(NOW, 60, 9_000),
                intervals={},
            )
        )
        return challenge.audit_id

    def pass_audit(self, name: bytes) -> int:
        return self.do(lambda conn: money.pass_audit(conn, name, NOW, "proven"))

    def change(self, event: Funded | CloseRequested) -> None:
        def work(conn: Connection) -> None:
            channel = load_channel(conn, self.channel)
            assert channel is not None
            save_channel(conn, apply(channel, event)[0])

        self.do(work)

    @property
    def account(self) -> money.Account:
        return self.do(lambda conn: money.load_account(conn, self.channel))

    @property
    def totals(self) -> tuple[int, int, int]:
        """Paid without condition, earned, promised."""
        account = self.account
        return account.purse.paid_total, account.channel.earned, account.channel.promised

    def open(self) -> list[int]:
        return [audit.voucher.total for audit in self.do(load_open_audits)]


def challenge_of(name: bytes) -> Challenge:
    return Challenge(name, (Item(b"a" * 32, b"d" * 32, 9, (1, 2)), Item(b"b" * 32, b"e" * 32, 3, (0,))))


def make_books(path: Path, deposit: int = 1_000) -> Books:
    database = Database.at(path / f"{os.urandom(4).hex()}.db", TABLES)
    token, payee, payer = (Address(letter * 20) for letter in (b"t", b"p", b"r"))
    terms = Terms(payer, KEY.address, payee, token, Seconds(60), bytes(32))

    def begin(conn: Connection) -> ChannelId:
        channel = record_channel(conn, DOMAIN, terms)
        save_purse(conn, Purse(channel.id, FARMER, 0))
        return channel.id

    books = Books(database, database.write_sync(begin))
    books.change(Funded(Amount(deposit)))
    return books


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = make_books(tmp_path)
    yield made
    made.database.close()


def test_payments_add_up_and_are_signed_by_the_signer(books: Books) -> None:
    first, second = books.pay(10), books.pay(5)
    assert (first.voucher.total, second.voucher.total) == (10, 15)
    assert (first.added, second.added) == (10, 5)
    verify_voucher(DOMAIN, second.voucher, KEY.address)
    assert books.totals == (15, 15, 15)
    assert books.pay().voucher == second.voucher


def test_an_audit_earns_its_step_once(books: Books) -> None:
    name = books.audit(100)
    assert books.totals == (0, 0, 100)
    assert books.pass_audit(name) == 100
    assert books.pass_audit(name) == 0
    assert books.totals == (0, 100, 100)
    assert books.account.owes
    assert books.pay().voucher.total == 100
    books.do(lambda conn: money.record_delivery(conn, books.channel, Amount(100)))
    assert not books.account.owes


def test_an_audit_that_fails_earns_nothing_and_the_next_one_replaces_its_promise(books: Books) -> None:
    name = books.audit(100)
    audit = books.do(lambda conn: load_audit(conn, name))
    assert audit is not None
    failed = [Decision(b"a" * 32, Outcome.FAILED, "gone", NOW)]
    books.do(lambda conn: money.close_audit(conn, audit, failed))
    assert books.totals == (0, 0, 100)
    books.pass_audit(books.audit(40))
    assert books.totals == (0, 40, 100)


def test_there_is_never_a_second_open_audit(books: Books) -> None:
    books.audit(100)
    with pytest.raises(AuditOpen):
        books.audit(100)
    assert books.open() == [100]


def test_a_payment_gives_an_open_audit_a_voucher_on_top_with_the_same_condition(books: Books) -> None:
    name = books.audit(100)
    books.pay(30)
    assert books.open() == [130]
    audit = books.do(lambda conn: load_audit(conn, name))
    assert audit is not None
    assert audit.voucher.voucher.condition == challenge_digest(DOMAIN, challenge_of(name))
    verify_voucher(DOMAIN, audit.voucher, KEY.address)
    assert books.pass_audit(name) == 100
    assert books.totals == (30, 130, 130)


def test_nothing_is_promised_above_the_deposit(books: Books) -> None:
    with pytest.raises(Unfunded) as payment:
        books.pay(1_001)
    assert (payment.value.farmer, payment.value.needed, payment.value.deposit) == (FARMER, 1_001, 1_000)
    with pytest.raises(Unfunded):
        books.audit(1_001)
    assert books.totals == (0, 0, 0)
    assert books.open() == []
    books.audit(600)
    books.pay(500)
    assert books.totals == (500, 500, 600)
    assert books.open() == [600]  # no longer covers its step: the examiner says so


def test_a_closing_channel_promises_nothing_more_but_pays_what_is_earned(books: Books) -> None:
    books.pass_audit(books.audit(100))
    books.change(CloseRequested(Timestamp(5_000)))
    with pytest.raises(ChannelClosing):
        books.pay(1)
    with pytest.raises(ChannelClosing):
        books.audit(1)
    assert books.pay().voucher.total == 100


def test_what_the_farmer_shows_is_learned(books: Books) -> None:
    paid = sign_voucher(DOMAIN, Voucher(books.channel, Amount(70)), KEY)
    books.do(lambda conn: money.recall_paid(conn, books.pen, paid))
    assert books.totals == (70, 70, 70)
    assert not books.account.owes
    forged = sign_voucher(DOMAIN, Voucher(books.channel, Amount(90)), STRANGER)
    with pytest.raises(WrongSigner):
        books.do(lambda conn: money.recall_paid(conn, books.pen, forged))
    challenge = challenge_of(b"n" * 32)
    proven = sign_voucher(
        DOMAIN, Voucher(books.channel, Amount(200), challenge_digest(DOMAIN, challenge)), KEY
    )
    earned = books.do(lambda conn: money.recall_proven(conn, books.pen, proven, challenge, NOW))
    assert earned == 130
    assert books.totals == (70, 200, 200)


def test_a_late_proof_passes_and_is_paid_once(books: Books) -> None:
    name = books.audit(100)
    audit = books.do(lambda conn: load_audit(conn, name))
    assert audit is not None
    given_up = [Decision(item.agreement, Outcome.OFFLINE, "", NOW) for item in audit.challenge.items]
    books.do(lambda conn: money.close_audit(conn, audit, given_up))
    other = books.audit(50)
    assert books.open() == [50]
    for expected in (100, 0):
        earned = books.do(
            lambda conn: money.recall_proven(conn, books.pen, audit.voucher, audit.challenge, NOW)
        )
        assert earned == expected
    assert books.open() == [150]
    outcomes = {one.outcome for one in books.do(lambda conn: load_decisions(conn, name))}
    assert outcomes == {Outcome.PASSED}
    assert books.pass_audit(other) == 50
    assert books.totals[1] == 150


def test_tries_are_kept(books: Books) -> None:
    name = books.audit(10)
    attempt = Try(NOW, Answer.SILENT)
    books.do(lambda conn: money.record_try(conn, name, attempt))
    audit = books.do(lambda conn: money.record_try(conn, name, replace(attempt, at=1_020)))
    assert audit is not None
    assert [one.at for one in audit.tries] == [NOW, 1_020]
    assert books.do(lambda conn: money.record_try(conn, bytes(32), attempt)) is None
    assert books.pass_audit(bytes(32)) == 0


def test_an_unknown_channel_is_named(books: Books) -> None:
    with pytest.raises(UnknownChannel):
        books.do(lambda conn: money.issue_payment(conn, books.pen, ChannelId(ZERO32)))
    assert books.do(lambda conn: money.active_account(conn, NodeId(ZERO32))) is None
    assert books.do(lambda conn: money.active_account(conn, FARMER)) == books.account


STEPS = st.lists(
    st.tuples(st.sampled_from(["pay", "audit", "pass", "fail", "show"]), st.integers(1, 400)), max_size=30
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_totals_rise_are_covered_and_each_audit_counts_once(
    tmp_path: Path, steps: list[tuple[str, int]]
) -> None:
    books = make_books(tmp_path, deposit=2_000)
    owed, before, waiting = 0, (0, 0, 0), None
    for action, amount in steps:
        try:
            match action:
                case "pay":
                    books.pay(amount)
                    owed += amount
                case "audit" if waiting is None:
                    waiting = (books.audit(amount), amount)
                case "pass" if waiting is not None:
                    audit = books.do(partial(load_audit, audit_id=waiting[0]))
                    assert audit is not None
                    if audit.voucher.total == owed + waiting[1]:
                        books.pass_audit(waiting[0])
                        owed, waiting = owed + waiting[1], None
                case "fail" if waiting is not None:
                    audit = books.do(partial(load_audit, audit_id=waiting[0]))
                    assert audit is not None
                    books.do(partial(money.close_audit, audit=audit, decisions=[]))
                    waiting = None
                case "show":
                    books.pay()
        except Unfunded:
            assert owed + amount > 2_000
        paid, earned, promised = books.totals
        assert earned == owed
        assert paid <= earned <= promised <= 2_000
        assert all(new >= old for new, old in zip(books.totals, before, strict=True))
        before = books.totals
    books.database.close()
