"""Payer, payee and contract together, with facts delivered late, shuffled and twice.

The contract is a few lines of arithmetic. What each side should believe is computed anew from the facts it
has seen, by maxima and minima over the whole history, and shares nothing with the machine's table.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from payments.channel import (
    Channel,
    Claimed,
    CloseRequested,
    Event,
    Funded,
    Status,
    StopAccepting,
    VoucherAccepted,
    VoucherReturned,
    VoucherSigned,
    Withdrawn,
    apply,
    open_channel,
)
from payments.errors import AboveDeposit, ChannelClosing, PaymentError
from payments.types import Amount, Timestamp
from tests.payments.support import DOMAIN, TERMS

PERIOD = 10
amounts = st.integers(0, 60)


@dataclass
class Contract:
    """PaymentChannels for one channel: totals that only rise, and every change announced once."""

    deposit: int = 0
    paid: int = 0
    closes_at: int = 0
    withdrawn: bool = False
    now: int = 1000
    facts: list[Event] = field(default_factory=list)

    def fund(self, target: int) -> None:
        if not self.closes_at and target > self.deposit:
            self.deposit = target
            self.facts.append(Funded(Amount(target)))

    def pay(self, total: int) -> None:
        total = min(total, self.deposit)
        if not self.withdrawn and total > self.paid:
            self.paid = total
            self.facts.append(Claimed(Amount(total)))

    def request_close(self) -> None:
        if not self.closes_at and self.deposit > self.paid:
            self.closes_at = self.now + PERIOD
            self.facts.append(CloseRequested(Timestamp(self.closes_at)))

    def withdraw(self) -> None:
        if self.closes_at and not self.withdrawn and self.now >= self.closes_at:
            self.withdrawn = True
            self.facts.append(Withdrawn())


@dataclass
class Side:
    """One node: its channel, and what has happened to it so far, refused steps left out."""

    channel: Channel
    history: list[Event] = field(default_factory=list)
    stops: int = 0

    def take(self, event: Event) -> None:
        before = self.channel
        expected = refusal(self.history, event)
        if expected:
            with pytest.raises(expected):
                apply(before, event)
            assert self.channel is before
            return
        self.channel, effects = apply(before, event)
        self.history.append(event)
        self.stops += sum(isinstance(effect, StopAccepting) for effect in effects)


@dataclass(frozen=True)
class Belief:
    deposit: int
    claimed: int
    promised: int
    earned: int
    closes_at: int
    status: Status


def believe(history: list[Event]) -> Belief:
    """What a history amounts to, whatever its order."""
    ends = [i for i, event in enumerate(history) if isinstance(event, CloseRequested | Withdrawn)]
    before_end = history[: ends[0]] if ends else history
    claims = [event.total for event in history if isinstance(event, Claimed)]
    earnings = [event.total for event in history if isinstance(event, VoucherAccepted)]
    promises = [event.total for event in history if isinstance(event, VoucherSigned | VoucherReturned)]
    deposits = [event.deposit for event in before_end if isinstance(event, Funded)]
    closes = [event.closes_at for event in history if isinstance(event, CloseRequested)]
    deposit = max([0, *deposits, *claims])
    return Belief(
        deposit=deposit,
        claimed=max([0, *claims]),
        promised=max([0, *promises, *earnings, *claims]),
        earned=max([0, *earnings, *claims]),
        closes_at=min(closes, default=0),
        status=status_of(history, deposit),
    )


def status_of(history: list[Event], deposit: int) -> Status:
    if any(isinstance(event, Withdrawn) for event in history):
        return Status.CLOSED
    if any(isinstance(event, CloseRequested) for event in history):
        return Status.CLOSING
    return Status.FUNDED if deposit else Status.OPENED


def refusal(history: list[Event], event: Event) -> type[PaymentError] | None:
    """Which error a promise deserves; facts of the chain deserve none."""
    now = believe(history)
    if (
        not isinstance(event, VoucherSigned | VoucherAccepted | VoucherReturned)
        or event.total <= now.promised
    ):
        return None
    closing = now.status in {Status.CLOSING, Status.CLOSED}
    if closing and not isinstance(event, VoucherReturned):
        return ChannelClosing
    return AboveDeposit if event.total > now.deposit else None


class ChannelLife(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.contract = Contract()
        self.payer = Side(open_channel(DOMAIN, TERMS))
        self.payee = Side(open_channel(DOMAIN, TERMS))
        self.signatures: list[int] = []

    @rule(total=amounts)
    def fund(self, total: int) -> None:
        self.contract.fund(total)

    @rule(total=amounts)
    def push(self, total: int) -> None:
        self.contract.pay(total)

    @rule()
    def claim(self) -> None:
        self.contract.pay(self.payee.channel.earned)

    @rule()
    def request_close(self) -> None:
        self.contract.request_close()

    @rule()
    def withdraw(self) -> None:
        self.contract.withdraw()

    @rule(seconds=st.integers(1, PERIOD))
    def wait(self, seconds: int) -> None:
        self.contract.now += seconds

    @rule(extra=st.integers(0, 20))
    def sign(self, extra: int) -> None:
        total = self.payer.channel.earned + extra
        self.payer.take(VoucherSigned(Amount(total)))
        if total <= self.payer.channel.promised:
            self.signatures.append(total)

    @precondition(lambda self: self.signatures)
    @rule(data=st.data())
    def deliver_voucher(self, data: st.DataObject) -> None:
        total = data.draw(st.sampled_from(self.signatures))
        self.payee.take(VoucherAccepted(Amount(total)))

    @precondition(lambda self: self.signatures)
    @rule(data=st.data())
    def deliver_proof(self, data: st.DataObject) -> None:
        total = data.draw(st.sampled_from(self.signatures))
        self.payer.take(VoucherAccepted(Amount(total)))

    @rule(total=amounts)
    def forge_voucher(self, total: int) -> None:
        self.payee.take(VoucherAccepted(Amount(total)))

    @precondition(lambda self: self.signatures)
    @rule(data=st.data())
    def return_voucher(self, data: st.DataObject) -> None:
        total = data.draw(st.sampled_from(self.signatures))
        for side in (self.payer, self.payee):
            side.take(VoucherReturned(Amount(total)))

    @precondition(lambda self: self.contract.facts)
    @rule(data=st.data(), to_payer=st.booleans())
    def deliver_fact(self, data: st.DataObject, to_payer: bool) -> None:
        fact = data.draw(st.sampled_from(self.contract.facts))
        (self.payer if to_payer else self.payee).take(fact)

    @precondition(lambda self: self.contract.facts)
    @rule(data=st.data())
    def catch_up(self, data: st.DataObject) -> None:
        """Take every fact of the chain, some twice, in any order: both sides then agree with the contract."""
        for side in (self.payer, self.payee):
            for fact in data.draw(st.permutations(self.contract.facts + self.contract.facts[:2])):
                side.take(fact)
            channel = side.channel
            assert (channel.claimed, channel.closes_at) == (self.contract.paid, self.contract.closes_at)
            assert (channel.status is Status.CLOSED) == self.contract.withdrawn
            if not self.contract.closes_at:
                assert channel.deposit == self.contract.deposit

    @invariant()
    def both_believe_what_they_have_seen(self) -> None:
        for side in (self.payer, self.payee):
            channel = side.channel
            assert believe(side.history) == Belief(
                channel.deposit,
                channel.claimed,
                channel.promised,
                channel.earned,
                channel.closes_at,
                channel.status,
            )

    @invariant()
    def totals_are_in_order(self) -> None:
        for side in (self.payer, self.payee):
            channel = side.channel
            assert 0 <= channel.claimed <= channel.earned <= channel.promised <= channel.deposit
            assert channel.deposit <= self.contract.deposit

    @invariant()
    def facts_seen_again_change_nothing(self) -> None:
        for side in (self.payer, self.payee):
            for event in side.history[-3:]:
                assert apply(side.channel, event) == (side.channel, ())

    @invariant()
    def each_side_stops_once(self) -> None:
        for side in (self.payer, self.payee):
            ended = side.channel.status in {Status.CLOSING, Status.CLOSED}
            assert side.stops == (1 if ended else 0)


TestChannelLife = ChannelLife.TestCase
TestChannelLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
