"""Suppliers: the farmers that could take a shard now, the best first."""

import os
from collections.abc import Collection
from typing import Final

from node.db.renter_presence import load_scores
from node.errors import NodeError
from node.renter.accounts import Accounts
from node.renter.context import Context
from node.renter.crew import Supplier, in_order
from node.renter.errors import AboveLimit, NoOpenChannel
from node.renter.faults import to_fault
from node.renter.money import Account, active_account, active_accounts
from node.renter.peers import Peers
from node.renter.placement import Candidate, neighbourhoods, rank_farmers
from node.renter.reports import Fault, QuoteReport, Trouble
from node.tasks import all_of
from payments.errors import PaymentError
from payments.types import NodeId, Seconds

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

    async def find(
        self, holders: Collection[NodeId] = (), *, ask: bool = True
    ) -> tuple[list[Supplier], tuple[Fault, ...]]:
        """Find the farmers that answer and have a funded channel that they accept; what others lack.

        `holders` have a shard already: they get no other, and their neighbours come last. ask: whether to ask
        all for their quotes, or to rely on those that have answered just now.
        """
        nodes = [peer.node for peer in self._peers.list()]
        reports = await self._reports([node for node in nodes if node not in holders], ask=ask)
        accounts = self._context.database.read(active_accounts)
        found = await all_of(self._supplier(one, accounts.get(one.farmer)) for one in reports)
        suppliers = [one for one in found if isinstance(one, Supplier)]
        places = {node: neighbourhoods(self._peers.target(node).urls) for node in nodes}
        taken = [place for node in holders for place in places.get(node, ())]
        ranking = rank_farmers(self._candidates(suppliers, places), os.urandom(16), taken)
        return in_order(suppliers, ranking), tuple(one for one in found if isinstance(one, Fault))

    async def of(self, farmer: NodeId) -> Supplier | Fault:
        """Ask one farmer. Raises UnknownPeer."""
        (report,) = await self._peers.quotes([farmer])
        account = self._context.database.read(lambda conn: active_account(conn, farmer))
        return await self._supplier(report, account)

    async def _reports(self, nodes: Collection[NodeId], *, ask: bool) -> list[QuoteReport]:
        if ask:
            return list(await self._peers.quotes(nodes))
        return [report for report in self._peers.recent(RECENT) if report.farmer in nodes]

    def _candidates(
        self, suppliers: Collection[Supplier], places: dict[NodeId, frozenset[str]]
    ) -> list[Candidate]:
        lapses, slow = self._peers.lapses(), self._peers.slow()
        scores = self._context.database.read(load_scores)
        return [
            Candidate(
                farmer=one.farmer,
                storage_per_gb_month=one.price,
                lapses=lapses.get(one.farmer, 0) + (one.farmer in slow),
                score=scores.get(one.farmer, 1.0),
                neighbourhoods=places[one.farmer],
            )
            for one in suppliers
        ]

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
        try:
            return Supplier(account, report.quote, self._context.limits)
        except AboveLimit as error:
            return to_fault(report.farmer, error)
