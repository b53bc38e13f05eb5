"""The payer's transactions: ways out of channels, planned first and sent through the outbox.

A plan shows what it moves and what gas it takes before anything is sent; its calls are also what a cold
wallet signs. Push pays on the chain what was earned, without vouchers; close begins the challenge period;
withdraw takes the rest after it.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from node.db.restoration import awaits_chain
from node.renter.channels import Channels
from node.renter.context import Context
from node.renter.errors import NothingToDo, PayerMissing, WithdrawalNotOpen
from node.renter.money import Account, load_account
from node.renter.reports import ExitPlan, SentReport
from payments.channel import Channel, Status
from payments.types import Address, Amount, ChannelId, Seconds
from settlement.calls import Call
from settlement.chain_events import RowSkipped
from settlement.errors import Reverted, TransactionCancelled, TransactionFailed, TransactionReplaced
from settlement.outbox import Outbox

OUTBOX: Final = b"outbox"
"""Name of the lock of whoever sends: two programs would sign the same wish twice."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Channels that one call may name together."""

    signer: Address
    token: Address
    challenge_period: Seconds
    salt: bytes
    channels: tuple[Channel, ...]

    @property
    def payees(self) -> list[Address]:
        return [channel.terms.payee for channel in self.channels]


class Exits:
    """Plans and sends what the payer does with its channels."""

    def __init__(self, context: Context, channels: Channels, outbox: Outbox) -> None:
        self._context = context
        self.channels = channels
        self._outbox = outbox

    async def plan_push(self, channels: Iterable[ChannelId]) -> ExitPlan:
        """Plan to pay on the chain, without vouchers, what these channels have earned. Raises NothingToDo."""
        accounts = [account for account in self._accounts(channels) if account.channel.unclaimed]
        batches = _batches(account.channel for account in accounts)
        calls = [self._push(batch) for batch in batches]
        amount = sum(account.channel.unclaimed for account in accounts)
        return await self._plan("push", batches, calls, amount, "everything earned is paid on the chain")

    async def plan_close(self, channels: Iterable[ChannelId]) -> ExitPlan:
        """Plan to request the close of these channels; what is earned should be paid first (`send` does not).

        Raises NothingToDo.
        """
        wanted = [
            account.channel
            for account in self._accounts(channels)
            if account.channel.status is Status.FUNDED and account.channel.deposit > account.channel.claimed
        ]
        chain, batches = self._context.chain, _batches(wanted)
        calls = [
            chain.calls.request_close(*_terms(batch), payees=batch.payees, token=batch.token)
            for batch in batches
        ]
        amount = sum(channel.deposit - channel.earned for channel in wanted)
        return await self._plan("close", batches, calls, amount, "none of these channels is open")

    async def plan_withdraw(self, channels: Iterable[ChannelId]) -> ExitPlan:
        """Plan to take back what is left in these channels. Raises WithdrawalNotOpen, NothingToDo."""
        chain = self._context.chain
        wanted = [
            account.channel
            for account in self._accounts(channels)
            if account.channel.status is not Status.CLOSED
        ]
        head = await chain.head()
        states = await chain.channel_states([channel.id for channel in wanted])
        for channel, state in zip(wanted, states, strict=True):
            if not 0 < state.closes_at <= head.timestamp:
                raise WithdrawalNotOpen(channel.id, state.closes_at, head.timestamp)
        batches = _batches(wanted)
        calls = [
            chain.calls.withdraw(*_terms(batch), payees=batch.payees, token=batch.token) for batch in batches
        ]
        amount = sum(state.deposit - state.claimed for state in states)
        return await self._plan("withdraw", batches, calls, amount, "none of these channels holds anything")

    async def send(self, plan: ExitPlan) -> SentReport:
        """Send a plan's calls in the payer's name and wait for them. Raises PayerMissing, ChainError."""
        return await self.send_calls(plan.purpose, plan.calls)

    async def send_calls(self, purpose: str, calls: Iterable[Call]) -> SentReport:
        """Send calls, each mined before the next leaves, and wait until all are confirmed.

        Raises PayerMissing, ChainError.
        """
        key = self._context.keys.payer_key
        if key is None:
            raise PayerMissing(self._context.keys.payer)
        if self._context.database.read(awaits_chain):
            await self.channels.refresh()
        async with self._context.locks.hold(OUTBOX):
            sent: list[int] = []
            for call in calls:
                sent.append(await self._outbox.submit(purpose, call, key))
                await self._outbox.wait(sent[-1], depth=1)
            receipts = [await self._outbox.wait(queued) for queued in sent]
        await self.channels.refresh()
        events = [event for receipt in receipts for event in self._context.chain.events_of(receipt)]
        skipped = tuple(event for event in events if isinstance(event, RowSkipped))
        return SentReport(tuple(receipts), skipped)

    def sending(self, purpose: str) -> bool:
        """Whether something of this purpose is on its way, or waits to be sent."""
        return any(queued.purpose == purpose for queued in self._outbox.open())

    async def finish(self) -> None:
        """Wait until what is open is mined: a plan that did not count what it spends would be refused.

        Raises what keeps it back: FeeAboveCeiling, OutOfGasMoney, TransactionPending, other ChainErrors.
        """
        key = self._context.keys.payer_key
        if key is None or not self._outbox.open() or self._context.database.read(awaits_chain):
            return
        async with self._context.locks.hold(OUTBOX):
            self._outbox.hold([key])
            for queued in self._outbox.open():
                with suppress(Reverted, TransactionCancelled, TransactionFailed, TransactionReplaced):
                    await self._outbox.wait(queued.id, depth=1)

    async def resume(self) -> None:
        """Bring what is open, or was thrown out of the chain again, one step further. Raises ChainError.

        Nothing is done while another program of this renter is at it, nor before a restored copy knows what
        has become of it on the chain.
        """
        if self._context.database.read(awaits_chain):
            return
        key = self._context.keys.payer_key
        async with self._context.locks.try_hold(OUTBOX) as mine:
            if mine and self._outbox.was_used():
                await self._outbox.resume([] if key is None else [key])

    def _push(self, batch: _Batch) -> Call:
        totals = [(channel.terms.payee, channel.earned) for channel in batch.channels]
        return self._context.chain.calls.push(*_terms(batch), totals=totals, token=batch.token)

    async def _plan(
        self, purpose: str, batches: Sequence[_Batch], calls: Sequence[Call], amount: int, otherwise: str
    ) -> ExitPlan:
        if not calls:
            raise NothingToDo(purpose, otherwise)
        chain, payer = self._context.chain, self._context.keys.payer
        gas = sum([await chain.simulate(call, payer) for call in calls])
        fees = await chain.rpc.fees()
        channels = tuple(channel.id for batch in batches for channel in batch.channels)
        return ExitPlan(purpose, channels, tuple(calls), Amount(amount), gas, gas * fees.now)

    def _accounts(self, channels: Iterable[ChannelId]) -> tuple[Account, ...]:
        wanted = list(channels)
        return self._context.database.read(lambda conn: tuple(load_account(conn, name) for name in wanted))


def _terms(batch: _Batch) -> tuple[Address, Seconds, bytes]:
    return batch.signer, batch.challenge_period, batch.salt


def _batches(channels: Iterable[Channel]) -> list[_Batch]:
    def key(channel: Channel) -> tuple[Address, Address, Seconds, bytes]:
        terms = channel.terms
        return terms.signer, terms.token, terms.challenge_period, terms.salt

    return [_Batch(*shared, tuple(group)) for shared, group in groupby(sorted(channels, key=key), key=key)]
