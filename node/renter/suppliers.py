"""Suppliers: the farmers that could take a shard now, the best first."""

import os
from typing import Final

from node.errors import NodeError
from node.renter.accounts import Accounts
from node.renter.context import Context
from node.renter.crew import Supplier, in_order
from node.renter.errors import NoOpenChannel
from node.renter.faults import to_fault
from node.renter.money import Account, active_accounts
from node.renter.peers import Peers
from node.renter.placement import Candidate, rank_farmers
from node.renter.reports import Fault, QuoteReport, Trouble
from node.tasks import all_of
from payments.errors import PaymentError
from payments.types import Seconds

RECENT: Final = Seconds(30)
"""A farmer that gave its quote in the last seconds is taken to be there still."""


class Suppliers:
    """Asks farmers for their quotes, and sees to it that each can be paid."""

    def __init__(self, context: Context, peers: Peers, accounts: Accounts) -> None:
        self._context = context
        self._peers = peers
        self._accounts = accounts

    def known(self, count: int) -> bool:
        """Whether so many farmers have answered just now."""
        return len(self._peers.recent(RECENT)) >= count

    async def find(self, *, ask: bool = True) -> tuple[list[Supplier], tuple[Fault, ...]]:
        """Find the farmers that answer and have a funded channel that they accept; what others lack.

        ask: whether to ask all for their quotes, or to rely on those that have answered just now.
        """
        reports = await self._peers.quotes() if ask else self._peers.recent(RECENT)
        accounts = self._context.database.read(active_accounts)
        found = await all_of(self._supplier(one, accounts.get(one.farmer)) for one in reports)
        suppliers = [one for one in found if isinstance(one, Supplier)]
        lapses, slow = self._peers.lapses(), self._peers.slow()
        candidates = [
            Candidate(one.farmer, one.price, lapses.get(one.farmer, 0) + (one.farmer in slow))
            for one in suppliers
        ]
        ranking = rank_farmers(candidates, os.urandom(16))
        return in_order(suppliers, ranking), tuple(one for one in found if isinstance(one, Fault))

    async def _supplier(self, report: QuoteReport, account: Account | None) -> Supplier | Fault:
        if report.quote is None:
            return report.fault or Fault(report.farmer, Trouble.BROKE_RULES, "it sent no quote")
        if account is None:
            return to_fault(report.farmer, NoOpenChannel(report.farmer))
        try:
            account = await self._accounts.reconciled(account)
        except (NodeError, PaymentError) as error:
            return to_fault(report.farmer, error)
        channel, least = account.channel, report.quote.min_deposit
        if channel.deposit < least or channel.deposit <= channel.earned:
            held = f"its channel has {channel.deposit - channel.earned} base units left"
            reason = f"{held}, the farmer wants at least {least} deposited: tithe channel fund"
            return Fault(report.farmer, Trouble.NO_MONEY, reason)
        return Supplier(account, report.quote)
