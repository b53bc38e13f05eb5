"""Payments without an audit: what is earned and not yet handed over, and storage time paid ahead.

A voucher for the last audit travels with the next challenge; where no next one is at hand (the run
ends, the agreement is over, the channel is to be closed) it is sent by itself. Paying ahead is at the
renter's risk: the farmer has the money whether it keeps the shards or not.
"""

from collections.abc import Iterable
from dataclasses import replace

from node.db import Connection
from node.db.renter_purses import save_purse
from node.db.renter_shards import load_audited_shards
from node.errors import NodeError
from node.renter.accounts import Accounts
from node.renter.arrears import prepaid_of
from node.renter.context import Context
from node.renter.faults import to_fault
from node.renter.money import Account, Payment, active_account, issue_payment, list_accounts
from node.renter.reports import Fault, PaymentResult
from node.tasks import all_of
from payments.errors import PaymentError
from payments.prices import step_rate, storage_price
from payments.types import Amount, ChannelId, NodeId, Seconds, Timestamp


class Payments:
    """Sends unconditional vouchers."""

    def __init__(self, context: Context, accounts: Accounts) -> None:
        self._context = context
        self._accounts = accounts

    async def pay_outstanding(
        self, farmers: Iterable[NodeId] | None = None, channels: Iterable[ChannelId] | None = None
    ) -> tuple[PaymentResult, ...]:
        """Hand these farmers, or all, vouchers for what they have earned; a result for each that was owed."""
        whom = None if farmers is None else frozenset(farmers)
        which = None if channels is None else frozenset(channels)
        owed = [
            account
            for account in self._context.database.read(list_accounts)
            if account.owes
            and (whom is None or account.farmer in whom)
            and (which is None or account.channel.id in which)
        ]
        return await all_of(self._pay(account) for account in owed)

    def price_ahead(self, seconds: Seconds) -> dict[NodeId, Amount]:
        """Compute what `prepay` would pay to each farmer now."""
        return self._context.database.read(lambda conn: _costs(conn, self._context.now(), seconds))

    async def prepay(self, seconds: Seconds) -> tuple[PaymentResult, ...]:
        """Pay all farmers for keeping what they store until `seconds` from now, without audits.

        At the renter's risk. Time that is paid ahead already is not paid again, so this may be repeated for
        farmers that could not be reached. A channel that does not hold enough is told in its result; nothing
        is paid through it then.
        """
        return await all_of(self._prepay(farmer, seconds) for farmer in self.price_ahead(seconds))

    async def _prepay(self, farmer: NodeId, seconds: Seconds) -> PaymentResult:
        try:
            account = await self._accounts.ready(farmer)
        except (NodeError, PaymentError) as error:
            return _failed(farmer, ChannelId(bytes(32)), to_fault(farmer, error))
        return await self._pay(account, seconds)

    async def _pay(self, account: Account, seconds: Seconds | None = None) -> PaymentResult:
        """Sign, write down, then deliver: what is earned, and `seconds` ahead."""
        context, channel = self._context, account.channel.id

        def work(conn: Connection) -> Payment:
            if seconds is None:
                return issue_payment(conn, context.pen, channel)
            now = context.now()
            ahead = _costs(conn, now, seconds, account.farmer).get(account.farmer, Amount(0))
            payment = issue_payment(conn, context.pen, channel, ahead)
            prepaid = prepaid_of(payment.account.purse)
            more = Seconds(max(0, seconds - prepaid.left(now)))
            later = prepaid.extended(more, now)
            purse = replace(payment.account.purse, prepaid_seconds=later.seconds, prepaid_at=later.at)
            save_purse(conn, purse)
            return payment

        async with context.locks.hold(channel):
            try:
                await self._accounts.reconciled(account)
                payment = await context.database.write(work)
            except (NodeError, PaymentError) as error:
                return _failed(account.farmer, channel, to_fault(account.farmer, error))
            fault = None
            try:
                await self._accounts.deliver(payment)
            except (NodeError, PaymentError) as error:
                fault = to_fault(account.farmer, error)
        return PaymentResult(
            farmer=account.farmer,
            channel=channel,
            total=payment.voucher.total,
            added=Amount(max(0, payment.voucher.total - account.purse.delivered)),
            delivered=fault is None,
            fault=fault,
        )


def _costs(
    conn: Connection, now: Timestamp, seconds: Seconds, farmer: NodeId | None = None
) -> dict[NodeId, Amount]:
    """What each farmer's storage costs for so long, or one's, less what it has been paid ahead for."""
    costs: dict[NodeId, int] = {}
    left: dict[NodeId, Seconds] = {}
    for shard in load_audited_shards(conn, now, farmer):
        terms = shard.agreement
        if terms.farmer not in left:
            account = active_account(conn, terms.farmer)
            left[terms.farmer] = prepaid_of(account.purse).left(now) if account else Seconds(0)
        time = Seconds(max(0, min(seconds, terms.end - now) - left[terms.farmer]))
        cost = storage_price(step_rate(terms.step, terms.audit_interval), time)
        costs[terms.farmer] = costs.get(terms.farmer, 0) + cost
    return {farmer: Amount(cost) for farmer, cost in costs.items()}


def _failed(farmer: NodeId, channel: ChannelId, fault: Fault) -> PaymentResult:
    return PaymentResult(farmer, channel, Amount(0), Amount(0), delivered=False, fault=fault)
